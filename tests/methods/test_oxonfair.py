import logging
import sys

import numpy as np
import pytest
from peer_problems import make_problem, measured, queries

from evenhand.criteria import Criterion
from evenhand.errors import InputError, MissingExtraError
from evenhand.methods.base import decide
from evenhand.methods.logistic import choose_ridge
from evenhand.methods.oxonfair import (
    _group_head,
    _log_odds,
    _merged,
    _search,
    oxonfair,
    oxonfair_inferred,
)


def test_the_merged_head_decides_as_oxonfair_does():
    from oxonfair import DeepFairPredictor

    problem, test = make_problem()
    label, _ = choose_ridge(problem.train, problem.valid)
    weight, bias = _group_head(problem.train, np.array([0, 1]))

    def scores(rows):
        return np.column_stack([_log_odds(label, rows.features), rows.features @ weight + bias])

    predictor = DeepFairPredictor(
        problem.valid.labels, scores(problem.valid), problem.valid.groups.codes
    )
    _search(predictor, Criterion.EQUALIZED_ODDS, 0.1, fresh=True)
    theirs = predictor.predict({"data": scores(test), "target": test.labels})
    ours = _merged(label, weight, bias, -predictor.offset[:, 0]).predict(test.features)
    assert (ours == theirs).mean() > 0.999


@pytest.mark.parametrize("make", [oxonfair, oxonfair_inferred])
@pytest.mark.parametrize("criterion", ["eo", "dp", "eopp"])
def test_bounds_hold_on_valid_or_it_says_so(make, criterion):
    problem, test = make_problem()
    bounds = (0.05, 0.15, 0.4)
    fits = make([criterion], bounds)(problem)
    errors = []
    for bound, (name, fitted) in zip(bounds, fits, strict=True):
        error, size = measured(fitted, problem.valid, criterion)
        errors.append(error)
        assert name == f"{criterion}<={bound:g}"
        assert size <= bound + 1e-9 or fitted.notes
        assert decide(fitted.predict(queries(test))).shape == (len(test),)
    assert errors == sorted(errors, reverse=True)


def test_an_impossible_bound_is_noted():
    problem, _ = make_problem(n=300)
    ((_, fitted),) = oxonfair(["eo"], (-0.1,))(problem)
    assert fitted.notes == ("no pair of thresholds is within -0.1 on valid",)


def test_three_groups_of_which_one_has_no_valid_rows():
    problem, test = make_problem(groups=3, unknown=0.1, n=600)
    kept = problem.valid[problem.valid.groups.codes != 1]
    ((_, fitted),) = oxonfair(["dp"], (0.1,))(type(problem)(problem.train, kept, problem.head))
    assert fitted.head is not None
    assert np.isfinite(fitted.predict(queries(test))).all()


def test_three_classes_are_refused_and_the_log_level_comes_back():
    before = logging.getLogger("oxonfair").level
    for make in (oxonfair, oxonfair_inferred):
        with pytest.raises(InputError, match="two classes"):
            make()(make_problem(classes=3, n=300)[0])
    assert logging.getLogger("oxonfair").level == before


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    problem, _ = make_problem(n=300)
    monkeypatch.setitem(sys.modules, "oxonfair", None)
    for make in (oxonfair, oxonfair_inferred):
        with pytest.raises(MissingExtraError, match=r"evenhand\[baselines\]"):
            make()(problem)
