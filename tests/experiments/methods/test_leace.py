import sys

import numpy as np
import pytest
from peer_problems import make_problem, measured, queries
from sklearn.linear_model import LogisticRegression

from evenhand.errors import MissingExtraError
from evenhand.experiments.methods.leace import _eraser, leace
from evenhand.experiments.methods.logistic import fit_head, one_hot
from evenhand.finetuning.problem import fitted_head
from evenhand.heads.selection.ridge import choose_ridge


@pytest.mark.parametrize("groups", [2, 3])
def test_nothing_linear_is_left_of_the_group(groups):
    problem, _ = make_problem(groups=groups)
    rows = problem.train
    indicators = one_hot(rows.groups.codes, groups)
    centre, erased = _eraser(rows.features, indicators)
    cleaned = rows.features - (rows.features - centre) @ erased
    covariance = (cleaned - cleaned.mean(0)).T @ (indicators - indicators.mean(0)) / len(rows)
    assert np.abs(covariance).max() < 1e-9
    assert np.linalg.matrix_rank(erased, tol=1e-8) == groups - 1
    probe = LogisticRegression().fit(cleaned, rows.groups.codes)
    common = np.bincount(rows.groups.codes).argmax()
    assert (probe.predict(cleaned) == common).mean() > 0.95


def test_eraser_and_head_are_one_linear_head():
    problem, test = make_problem()
    ((name, fitted),) = leace(problem)
    indicators = one_hot(problem.train.groups.codes, 2)
    centre, erased = _eraser(problem.train.features, indicators)

    def cleaned(rows):
        return rows.with_features(rows.features - (rows.features - centre) @ erased)

    head = fit_head(cleaned(problem.train), choose_ridge(cleaned(problem.development)))
    expected = head.logits(cleaned(test).features)
    assert str(name) == "erased"
    assert np.allclose(fitted.predict(queries(test)), expected)
    assert np.allclose(fitted.head.logits(test.features), expected)


def test_the_gap_of_demographic_parity_falls():
    problem, test = make_problem(n=3000)
    ((_, fitted),) = leace(problem)
    assert (
        measured(fitted, test, "dp")[1] < 0.5 * measured(fitted_head(problem.head), test, "dp")[1]
    )


def test_unknown_groups_and_more_classes_are_served():
    problem, test = make_problem(groups=3, classes=3, unknown=0.2)
    ((_, fitted),) = leace(problem)
    assert fitted.predict(queries(test)).shape == (len(test), 3)


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    problem, _ = make_problem()
    monkeypatch.setitem(sys.modules, "concept_erasure", None)
    with pytest.raises(MissingExtraError, match=r"evenhand\[baselines\]"):
        leace(problem)
