import logging
import sys

import numpy as np
import pytest
from peer_problems import make_problem, make_rows, measured, queries

from evenhand.criteria import Criterion
from evenhand.errors import InputError, MissingExtraError
from evenhand.experiments.methods.logistic import fit_head
from evenhand.experiments.methods.oxonfair import (
    _indicator_head,
    _log_odds,
    merged,
    oxonfair,
    oxonfair_inferred,
)
from evenhand.experiments.methods.oxonfair_search import believed, held_out, search
from evenhand.finetuning.problem import decide


def test_the_merged_head_decides_as_oxonfair_does():
    from oxonfair import DeepFairPredictor

    problem, test = make_problem()
    label = fit_head(problem.train, 0.01)
    group = _indicator_head(problem.train, np.array([0, 1]))
    scores = {
        name: _log_odds((label, group), rows.features)
        for name, rows in {"valid": problem.valid, "test": test}.items()
    }
    predictor = DeepFairPredictor(problem.valid.labels, scores["valid"], problem.valid.groups.codes)
    search(predictor, Criterion.EQUALIZED_ODDS, 0.1, fresh=True)
    theirs = predictor.predict({"data": scores["test"], "target": test.labels})
    ours = merged(label, group, -predictor.offset[:, 0]).predict(test.features)
    assert (ours == theirs).mean() > 0.999


@pytest.mark.parametrize("make", [oxonfair, oxonfair_inferred])
@pytest.mark.parametrize("criterion", ["eo", "dp", "eopp"])
def test_bounds_hold_and_tighter_ones_cost(make, criterion):
    problem, test = make_problem()
    bounds = (0.05, 0.15, 0.4)
    fits = make([criterion], bounds)(problem)
    errors = []
    for bound, (name, fitted) in zip(bounds, fits, strict=True):
        error, size = measured(fitted, problem.development, criterion)
        errors.append(error)
        assert str(name) == f"{criterion}<={bound:g}"
        assert size <= bound + 0.03  # the search saw train rows through cross-fitted heads
        assert decide(fitted.predict(queries(test))).shape == (len(test),)
    assert errors[0] >= errors[-1]


def test_an_impossible_bound_is_noted():
    problem, _ = make_problem(n=300)
    ((_, fitted),) = oxonfair(["eo"], (-0.1,))(problem)
    assert fitted.notes == ("no thresholds are within -0.1 on held-out rows",)


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


def test_four_groups_are_too_many_for_two_heads():
    with pytest.raises(InputError, match="of 3 at most, found 4"):
        oxonfair()(make_problem(groups=4, n=400)[0])


def test_scores_of_train_rows_come_from_heads_that_did_not_see_them():
    rows = make_rows(60)
    train, valid = rows[:50], rows[50:]
    seen = []

    def fit(part):
        seen.append({tuple(row) for row in part.features})
        return len(seen), len(seen)

    def join(pair, features):
        return np.column_stack([np.full(len(features), pair[0]), features])

    judged, scores = held_out(train, valid, (0, 0), fit, join, seed=0)
    assert len(judged) == 60
    assert np.array_equal(judged.features, scores[:, 1:])
    assert (scores[:10, 0] == 0).all()
    for number, *row in scores[10:]:
        assert tuple(row) not in seen[int(number) - 1]


def test_a_group_is_believed_from_the_threshold_if_each_reaches_it():
    sure = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    assert believed(sure, 2 / 3, "AB") == 2 / 3
    assert believed(np.array([[0.9, 0.1], [0.4, 0.6]]), 2 / 3, "AB") == 0
    assert believed(sure[:2], 2 / 3, "AB") == 0, "OxonFair's 'unsure' needs rows too"
    with pytest.raises(InputError, match=r"inferred to be of group 'B'"):
        believed(np.array([[0.9, 0.1], [0.6, 0.4]]), 2 / 3, "AB")
