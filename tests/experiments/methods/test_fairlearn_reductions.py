import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peer_problems import expected_gap, make_problem, measured, queries

from evenhand.errors import InputError, MissingExtraError
from evenhand.experiments.methods.fairlearn_reductions import (
    _quiet,
    cheapest,
    exponentiated_gradient,
    grid_search,
)
from evenhand.experiments.methods.logistic import estimator
from evenhand.finetuning.problem import fitted_head


def test_scores_are_the_probabilities_fairlearn_decides_with():
    from fairlearn.reductions import DemographicParity, ExponentiatedGradient

    problem, test = make_problem(n=600)
    ((name, fitted),) = exponentiated_gradient(["dp"], [0.02])(problem)
    oracle = ExponentiatedGradient(
        estimator(problem.ridge, len(problem.train)),
        DemographicParity(difference_bound=0.02),
        eps=0.02,
    )
    with _quiet():
        oracle.fit(
            problem.train.features,
            problem.train.labels,
            sensitive_features=problem.train.groups.codes,
        )
    assert str(name) == "dp eps=0.02"
    assert fitted.randomised
    assert np.allclose(fitted.predict(queries(test)), oracle._pmf_predict(test.features))
    draws = np.mean([oracle.predict(test.features, random_state=i) for i in range(200)])
    assert abs(draws - fitted.predict(queries(test))[:, 1].mean()) < 0.01


@pytest.mark.parametrize("criterion", ["eo", "dp"])
def test_a_tight_epsilon_lowers_the_gap(criterion):
    problem, test = make_problem(n=1500)
    ((_, fitted),) = exponentiated_gradient([criterion], [0.02])(problem)
    before = measured(fitted_head(problem.head), test, criterion)[1]
    assert expected_gap(fitted, test, criterion) < 0.6 * before


def test_grid_search_keeps_its_bounds_on_valid_or_says_so():
    problem, _ = make_problem(n=900)
    fits = grid_search(["dp"], (0.02, 0.1, 0.3), grid_size=15)(problem)
    errors = []
    for bound, (name, fitted) in zip((0.02, 0.1, 0.3), fits, strict=True):
        error, size = measured(fitted, problem.valid, "dp")
        errors.append(error)
        assert str(name) == f"dp<={bound:g}"
        assert size <= bound or fitted.notes
        assert fitted.head is not None
    assert errors == sorted(errors, reverse=True)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.one_of(st.floats(0, 2), st.just(float("nan")))), min_size=1
    ),
    st.floats(0, 2),
)
def test_cheapest_is_the_lowest_error_within_the_bound(points, bound):
    error, size = (np.array(each) for each in zip(*points, strict=True))
    index, kept = cheapest(error, size, bound)
    within = [e for e, s in points if s <= bound]
    assert kept == bool(within)
    if kept:
        assert error[index] == min(within)
        assert size[index] <= bound
    elif not np.isnan(size).all():
        assert size[index] == np.nanmin(size)


@pytest.mark.parametrize("make", [exponentiated_gradient, grid_search])
def test_three_classes_are_refused(make):
    problem, _ = make_problem(classes=3, n=300)
    with pytest.raises(InputError, match="two classes, this task has 3"):
        make()(problem)


@pytest.mark.parametrize("make", [exponentiated_gradient, grid_search])
def test_a_missing_library_is_named_with_its_extra(make, monkeypatch):
    problem, _ = make_problem(n=300)
    monkeypatch.setitem(sys.modules, "fairlearn", None)
    with pytest.raises(MissingExtraError, match=r"fairlearn.*evenhand\[baselines\]"):
        make()(problem)


def test_three_groups_and_unknown_ones_are_served():
    problem, test = make_problem(groups=3, unknown=0.2, n=900)
    ((_, fitted),) = exponentiated_gradient(["eo"], [0.05], iterations=5)(problem)
    scores = fitted.predict(queries(test))
    assert np.allclose(scores.sum(1), 1)
