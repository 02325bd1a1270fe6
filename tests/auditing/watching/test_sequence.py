"""Anytime-valid bounds: against grids, and against simulated years."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln
from scipy.stats import binom

from evenhand.auditing.watching.sequence import Cell, Pair, gap_sequence, least_at

RATES = np.linspace(0, 1, 401)


def cell(hits, rows, prior=(0.5, 0.5)):
    return Cell(np.float64(hits), np.float64(rows), prior)


COUNTS = st.integers(0, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_the_mixture_has_mean_1_at_the_true_rate():
    n, rate, prior = 40, 0.3, (2.0, 5.0)
    hits = np.arange(n + 1)
    mixtures = np.exp(cell(hits, np.full(n + 1, n), prior).log_mixture(rate))
    assert (binom.pmf(hits, n, rate) * mixtures).sum() == pytest.approx(1)
    by_hand = betaln(2 + 7, 5 + 33) - betaln(2, 5) - 7 * np.log(rate) - 33 * np.log(1 - rate)
    assert cell(7, 40, prior).log_mixture(rate) == pytest.approx(by_hand)
    assert cell(0, 0).log_mixture(0.2) == 0


@settings(deadline=None, max_examples=30)
@given(COUNTS, COUNTS, st.sampled_from([-0.5, -0.05, 0.0, 0.1, 0.75, 1.0]))
def test_the_least_of_a_difference_is_that_of_a_grid(one, other, difference):
    first, second = cell(*one), cell(*other)
    found = float(least_at(first, second, difference))
    grid = RATES[(RATES + difference >= 0) & (RATES + difference <= 1)]
    values = first.log_mixture(grid + difference) + second.log_mixture(grid)
    assert found <= values.min() + 1e-9
    assert found == pytest.approx(values.min(), abs=0.35) or not np.isfinite(values.min())


@settings(deadline=None, max_examples=8)
@given(st.lists(COUNTS, min_size=4, max_size=4), st.sampled_from([0.05, 0.3, 1.1]))
def test_the_least_within_and_beyond_a_gap_are_those_of_a_grid(counts, gap):
    a, b, c, d = (cell(*each) for each in counts)
    pair = Pair(((a, b), (c, d)))
    steps = np.linspace(-1, 1, 81)
    first, second = least_at(a, b, steps), least_at(c, d, steps)
    total = first[:, None] + second[None, :]
    apart = np.abs(steps)[:, None] + np.abs(steps)[None, :]
    within, beyond = total[apart <= gap + 1e-12].min(), total[apart >= gap - 1e-12].min()
    assert float(pair.least_within(gap)) <= within + 1e-4
    assert float(pair.least_beyond(gap)) <= beyond + 1e-4
    shares = np.linspace(max(0, gap - 1), min(gap, 1), 300)
    finer = [
        (least_at(a, b, s * shares) + least_at(c, d, t * (gap - shares))).min()
        for s in (1, -1)
        for t in (1, -1)
    ]
    free = sum(float(x.log_mixture(x.rate)) for x in (a, b, c, d))
    if float(pair.gap) < gap:
        assert float(pair.least_beyond(gap)) == pytest.approx(min(finer), abs=0.05)
        assert float(pair.least_within(gap)) == pytest.approx(free, abs=1e-4)
    else:
        assert float(pair.least_beyond(gap)) == pytest.approx(free, abs=1e-4)
        assert float(pair.least_within(gap)) == pytest.approx(min(finer), abs=0.05)


def test_the_ends_are_where_the_product_reaches_the_level():
    rates = (cell(6000, 10_000), cell(5000, 10_000)), (cell(1000, 10_000), cell(1500, 10_000))
    pair = Pair(rates)
    low, high = gap_sequence(pair, 0.05)
    assert 0 < low < float(pair.gap) < high < 2
    assert float(pair.least_within(low)) == pytest.approx(np.log(20), abs=1e-3)
    assert float(pair.least_beyond(high)) == pytest.approx(np.log(20), abs=1e-3)
    nothing = Pair(((cell(0, 0), cell(0, 0)),))
    assert [float(end) for end in gap_sequence(nothing, 0.05)] == [0, 1]


def test_it_narrows_as_rows_come():
    widths = []
    for rows in (100, 1000, 10_000, 100_000):
        pair = Pair(((cell(0.3 * rows, rows), cell(0.2 * rows, rows)),))
        low, high = gap_sequence(pair, 0.05)
        assert low <= 0.1 <= high
        widths.append(float(high - low))
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.03


@pytest.mark.parametrize("rates", [(0.3, 0.4), (0.02, 0.12)])
def test_a_year_of_daily_looks_raises_false_alarms_in_few_years(rates):
    draw, years, looks, daily = np.random.default_rng(0), 400, 120, 40
    hits = [draw.binomial(daily, rate, (years, looks)).cumsum(axis=1) for rate in rates]
    rows = np.broadcast_to(np.arange(1, looks + 1) * daily, hits[0].shape).astype(float)
    pair = Pair(((Cell(hits[0] * 1.0, rows), Cell(hits[1] * 1.0, rows)),))
    broken = pair.least_within(0.1) >= np.log(1 / 0.05)  # the true gap is the bound: .1
    kept = pair.least_beyond(0.1) >= np.log(1 / 0.05)
    assert (broken.any(axis=1) | kept.any(axis=1)).mean() <= 0.05
