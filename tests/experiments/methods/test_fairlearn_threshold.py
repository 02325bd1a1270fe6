import sys

import numpy as np
import pytest
from peer_problems import expected_gap, make_problem, queries

from evenhand.errors import InputError, MissingExtraError
from evenhand.experiments.methods.fairlearn_threshold import threshold_optimizer
from evenhand.finetuning.problem import Queries
from evenhand.groups import Groups


@pytest.mark.parametrize("criterion", ["eo", "dp", "eopp"])
def test_the_gap_on_the_rows_it_was_fitted_on_is_nearly_nought(criterion):
    problem, _ = make_problem()
    ((name, fitted),) = threshold_optimizer([criterion])(problem)
    assert str(name) == criterion
    assert fitted.randomised
    assert fitted.needs_group
    assert "needs the group at prediction" in fitted.notes
    assert expected_gap(fitted, problem.train, criterion) < 0.02


def test_rows_of_unknown_group_are_decided_by_the_head_alone():
    problem, test = make_problem()
    ((_, fitted),) = threshold_optimizer(["eo"])(problem)
    nobody = Groups(np.full(len(test), -1), ("A", "B"))
    scores = fitted.predict(Queries(test.features, groups=nobody))
    assert set(np.unique(scores)) <= {0.0, 1.0}
    assert (scores.argmax(1) == problem.head.predict(test.features)).mean() > 0.99
    half = Groups(np.where(np.arange(len(test)) % 2, -1, test.groups.codes), ("A", "B"))
    mixed = fitted.predict(Queries(test.features, groups=half))
    assert np.array_equal(mixed[1::2], scores[1::2])
    assert np.array_equal(mixed[::2], fitted.predict(queries(test))[::2])


def test_without_groups_it_refuses():
    problem, test = make_problem(n=300)
    ((_, fitted),) = threshold_optimizer(["dp"])(problem)
    with pytest.raises(InputError, match="needs the group of every row to predict"):
        fitted.predict(Queries(test.features))


def test_three_classes_and_a_missing_library_are_refused(monkeypatch):
    with pytest.raises(InputError, match="two classes"):
        threshold_optimizer()(make_problem(classes=3, n=300)[0])
    monkeypatch.setitem(sys.modules, "fairlearn.postprocessing", None)
    with pytest.raises(MissingExtraError, match="fairlearn"):
        threshold_optimizer()(make_problem(n=300)[0])
