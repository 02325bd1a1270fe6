"""Groups beside each other: what is compared, and how often all intervals hold together."""

from __future__ import annotations

import numpy as np
import pytest

from evenhand.groups import Groups
from evenhand.metrics.counts import Counts
from evenhand.metrics.intervals import difference_interval
from evenhand.metrics.rates import accuracy, precision, selection_rate, true_positive_rate
from evenhand.report.comparisons import all_pairs, said, to_reference
from evenhand.weights import Weights

NAMES = ("F", "M", "X")


def drawn(seed, rows=600, classes=2, weights=None):
    draw = np.random.default_rng(seed)
    y, d = (draw.integers(0, classes, rows) for _ in range(2))
    groups = Groups(draw.integers(0, 3, rows), NAMES, "sex")
    names = tuple("abc"[:classes])
    return Counts.of(y, np.where(draw.random(rows) < 0.5, y, d), groups, names, weights)


@pytest.mark.parametrize(
    ("one", "other", "ends"),
    [  # Newcombe 1998, table II, method 10
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((0, 10), (0, 10), (-0.2775, 0.2775)),
    ],
)
def test_differences_have_newcombes_published_intervals(one, other, ends):
    assert difference_interval(one, other) == pytest.approx(ends, abs=1e-4)


def test_rates_are_those_of_the_counts():
    counts = drawn(0)
    frame = to_reference(counts, 1).frame.set_index(["rate", "group"])
    for name, rates in {
        "selection_rate": selection_rate(counts.table)[:, 1],
        "tpr": true_positive_rate(counts.table)[:, 1],
        "precision": precision(counts.table)[:, 1],
        "accuracy": accuracy(counts.table),
    }.items():
        for group, rate in (("F", rates[0]), ("X", rates[2])):
            row = frame.loc[(name, group)]
            assert row.difference == pytest.approx(rate - rates[1])
            assert row.ratio == pytest.approx(rate / rates[1])
            assert row.difference_low < row.difference < row.difference_high
            assert row.ratio_low < row.ratio < row.ratio_high


def test_every_rate_of_every_class_and_pair_is_compared():
    assert to_reference(drawn(0), 1).number == 2 * 5
    assert all_pairs(drawn(0)).number == 3 * 5
    assert all_pairs(drawn(0, classes=3)).number == 3 * (3 * 4 + 1)
    assert "all 15 hold" in said(15)
    assert said(1) == "The intervals hold the truth in 95% of uses."
    assert "99.67%" in said(15)


def test_a_group_without_rows_is_no_comparison():
    counts = drawn(0)
    counts.table[2] = 0
    found = all_pairs(counts)
    assert found.number == 5
    assert found.frame[found.frame.group == "M"].difference.isna().all()


def test_survey_weights_estimate_the_repeated_rows_and_widen():
    weights = np.random.default_rng(3).integers(1, 6, 600)
    plain, survey = (drawn(0, weights=Weights.of(weights, k)) for k in ("frequency", "survey"))
    one, other = (to_reference(counts, 0).frame for counts in (plain, survey))
    np.testing.assert_allclose(one.difference, other.difference)
    wide, narrow = (frame.difference_high - frame.difference_low for frame in (other, one))
    assert (wide > 1.3 * narrow).all()


@pytest.mark.parametrize("weighted", [False, True], ids=["rows", "weights"])
def test_all_intervals_hold_together_as_often_as_they_say(weighted):
    """300 surveys of 1,500 people whose true differences are 0; weights tell nothing of them."""
    held = 0
    draw = np.random.default_rng(5)
    for seed in range(300):
        weights = Weights.of(draw.gamma(1.0, 1, 1500) + 0.05) if weighted else None
        frame = to_reference(drawn(seed, 1500, weights=weights), 0).frame
        inside = (frame.difference_low <= 0) & (frame.difference_high >= 0)
        held += bool(inside.all())
    assert 0.93 * 300 <= held < 300
