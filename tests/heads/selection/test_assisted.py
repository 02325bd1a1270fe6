"""What a model of the labels expects, against loops and against the truth it was drawn from."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from evenhand.groups import Groups
from evenhand.heads.selection.assisted import expected_totals, label_model, recalibrated
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.scored import errors_of
from evenhand.heads.selection.select import Selection
from evenhand.heads.spec import HeadSpec
from evenhand.metrics.rates import f1_error

GRID = CandidateGrid((0.0, 1.0), (-0.5, 0.0, 0.5))
SPEC = HeadSpec(ridge=1e-2)


@pytest.mark.parametrize(("groups", "unknown"), [(2, 0.0), (3, 0.2)])
def test_the_model_is_a_logistic_regression_of_each_group(make_rows, groups, unknown):
    rows = make_rows(n=1200, groups=groups, unknown=unknown)
    decisions = crossfit(rows, SPEC, "eo", grid=GRID).decisions
    found = recalibrated(decisions)
    for group in np.unique(rows.groups.codes):
        mine = rows.groups.codes == group
        odds = decisions.log_odds[mine][:, None]
        oracle = LogisticRegression(C=1e8).fit(odds, rows.labels[mine]).predict_proba(odds)
        np.testing.assert_allclose(found[mine], oracle[:, 1], atol=2e-2)


def test_expected_matrices_are_those_of_a_loop(make_rows):
    rows = make_rows(n=300)
    family = crossfit(rows, SPEC, "eo", grid=GRID)
    p = np.random.default_rng(0).random(300)
    found = expected_totals(family, p)
    for s in range(2):
        for o in range(3):
            decided = family.decisions.at((s, o))
            expected = [
                [(1 - p)[decided == 0].sum(), (1 - p)[decided == 1].sum()],
                [p[decided == 0].sum(), p[decided == 1].sum()],
            ]
            np.testing.assert_allclose(found[s, o], expected)
    counted = f1_error(family.totals)
    assert errors_of(family, "f1") == pytest.approx(counted.ravel())
    half = (counted + f1_error(found)) / 2
    assert errors_of(family, "f1", p) == pytest.approx(half.ravel())


def test_the_expected_difference_in_error_is_nearer_to_the_truth(make_rows):
    """Over draws, the mean of counted and expected strays less from the truth than the count."""

    def drawn(seed, n):
        draw = np.random.default_rng(seed)
        codes = draw.integers(0, 2, n)
        x = draw.normal(size=(n, 3)) + 0.6 * codes[:, None]
        labels = (x.sum(axis=1) + draw.logistic(size=n) > 0.5).astype(int)
        template = make_rows(n=n)
        return replace(
            template, features=x, labels=labels, groups=Groups(codes, template.groups.names)
        )

    whole = drawn(99, 40_000)
    counted, assisted = [], []
    for seed in range(12):
        family = crossfit(drawn(seed, 400), SPEC, "eo", grid=GRID)
        true = []
        for s, o in ((0, 1), (1, 2)):
            decided = family.fit((s, o)).head.predict(whole.features)
            true.append(100 * (decided != whole.labels).mean())
        places = [1, 3 + 2]
        for kept, p in ((counted, None), (assisted, label_model([family]))):
            error = errors_of(family, "accuracy", p)[places]
            kept.append((error[1] - error[0]) - (true[1] - true[0]))
    assert np.square(assisted).mean() < 0.8 * np.square(counted).mean()


def test_the_richest_family_models_the_labels_and_counts_alone_do_not(make_rows):
    rows = make_rows(n=400)
    family = crossfit(rows, SPEC, "eo", grid=GRID)
    blind = crossfit(rows.with_features(rows.features[:, :1]), SPEC, "eo", grid=GRID)
    np.testing.assert_array_equal(label_model([blind, family]), recalibrated(family.decisions))
    assert label_model([replace(family, decisions=None)]) is None
    assert expected_totals(replace(family, decisions=None), np.zeros(400)) is None
    three = crossfit(make_rows(n=400, classes=3), SPEC, "eo", grid=GRID)
    assert label_model([three]) is None
    plain = Selection((family,), 5).pool(Rule(assisted=False)).scored
    np.testing.assert_allclose(plain.error, f1_error(family.totals).ravel())
    assisted = Selection((family,), 5).pool(Rule()).scored
    assert not np.allclose(assisted.error, plain.error)
