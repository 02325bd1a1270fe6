import numpy as np
import pytest

from evenhand.errors import InputError
from evenhand.finetuning.problem import Problem, Queries, decide, fitted_head
from evenhand.head import Head


def test_the_decision_is_the_largest_score():
    assert decide(np.array([[0.1, 0.9], [2.0, -1.0], [0.5, 0.5]])).tolist() == [1, 0, 0]
    with pytest.raises(InputError, match="1 rows have scores of NaN"):
        decide(np.array([[np.nan, 1.0], [0.0, 1.0]]))


def test_a_problem_knows_its_ridge_fisher_and_development_rows(make_rows):
    rows = make_rows(n=200)
    problem = Problem(rows[:150], rows[150:], Head(np.zeros((5, 2)), np.zeros(2)))
    assert np.array_equal(problem.development.features, rows.features)
    assert problem.ridge is problem.ridge
    assert problem.fisher.counts.sum() == 150
    assert problem.fisher.kronecker is not None


def test_a_head_is_a_fitted_method():
    head = Head(np.eye(2), np.zeros(2))
    fitted = fitted_head(head, notes=("x",))
    np.testing.assert_array_equal(fitted.predict(Queries(np.eye(2))), np.eye(2))
    assert (fitted.trainable_parameters, fitted.notes) == (6, ("x",))
    assert fitted_head(head, 0).trainable_parameters == 0
