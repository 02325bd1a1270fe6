"""Weighted counts as rows that are as sure: values unchanged, intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest

from evenhand.criteria import BUILT_IN, Criterion
from evenhand.groups import Groups
from evenhand.metrics.counts import Counts
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import error_interval
from evenhand.metrics.rates import gap
from evenhand.weights import Weights

NAMES = ("F", "M", "X")


def counts_of(seed, classes=2, rows=900, kind="survey"):
    draw = np.random.default_rng(seed)
    y = draw.integers(0, classes, rows)
    d = np.where(draw.random(rows) < 0.6, y, draw.integers(0, classes, rows))
    groups = Groups(draw.integers(-1, 3, rows), NAMES, "sex")
    weights = Weights.of(draw.gamma(1, 1 + y, rows) + 0.1, kind)
    return Counts.of(y, d, groups, ("a", "b", "c")[:classes], weights)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("criterion", BUILT_IN)
def test_what_is_compared_has_the_value_of_the_weighted_rows(criterion, classes):
    counts = counts_of(0, classes)
    found = gap(counts.effective(criterion), criterion)
    assert float(found) == pytest.approx(float(gap(counts.table, criterion)), abs=1e-12)
    assert (counts.effective(criterion).sum(axis=(1, 2)) < counts.sizes).all()


def test_so_has_a_measure_of_ones_own():
    def share(counts):
        return counts[..., 0, 1, 1] / counts.sum(axis=(-3, -2, -1))

    own = Criterion.of(share, name="share_of_hits")
    counts = counts_of(0)
    assert float(gap(counts.effective(own), own)) == pytest.approx(float(gap(counts.table, own)))


def test_cells_come_to_kishs_rows_and_frequencies_to_the_repeated_ones():
    counts = counts_of(0)
    cells = counts.effective_cells("equal_opportunity")
    np.testing.assert_allclose(cells, counts.cells**2 / counts.squares[:-1])
    copies = counts_of(0, kind="frequency")
    np.testing.assert_allclose(copies.effective("equalized_odds"), copies.table)
    both = counts + counts
    np.testing.assert_allclose(both.effective_total, 2 * counts.effective_total)


def survey(draw, people, rows):
    """Rows drawn with unequal chances, weighted back; the chances follow group and decision."""
    group, y, d, chance = people
    chosen = draw.choice(len(y), rows, p=chance)
    weights = Weights.of(1 / (len(y) * chance[chosen])).counting()
    groups = Groups(group[chosen], ("F", "M"), "sex")
    return Counts.of(y[chosen], d[chosen], groups, ("no", "yes"), weights)


@pytest.mark.parametrize(
    "criterion",
    [
        "demographic_parity",
        "accuracy_parity",
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in ("equalized_odds", "equal_opportunity")
        ),
    ],
)
def test_intervals_of_a_survey_cover(criterion):
    """400 surveys of 2,500 people of a known 200,000; .95 of them, give or take their own luck."""
    draw = np.random.default_rng(11)
    size = 200_000
    group, y = draw.integers(0, 2, size), draw.integers(0, 2, size)
    d = (draw.random(size) < 0.25 + 0.4 * y + 0.12 * group).astype(np.int64)
    chance = (1 + 2 * group + y) * draw.gamma(4, 1, size)
    people = group, y, d, chance / chance.sum()
    every = Counts.of(y, d, Groups(group, ("F", "M"), "sex"), ("no", "yes"))
    truth, wrong = float(gap(every.table, criterion)), 100 * (y != d).mean()
    held, of_errors, naive = 0, 0, 0
    for _ in range(400):
        counts = survey(draw, people, 2500)
        _, low, high = gap_interval(counts, criterion)
        held += low <= truth <= high
        _, low, high = error_interval(counts, "accuracy", replicates=400)
        of_errors += low <= wrong <= high
        plain = counts.table * (2500 / counts.table.sum())
        _, low, high = gap_interval(plain, criterion)
        naive += low <= truth <= high
    assert 0.93 <= held / 400 <= 0.975
    assert 0.92 <= of_errors / 400 <= 0.98
    assert naive < held
