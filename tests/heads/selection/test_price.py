"""The price curve against the selection itself, and against a loop."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.criteria import Criterion
from evenhand.head import Head
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.price import MOST_TIMES, about, half_of, price_curve
from evenhand.heads.selection.promising import CHOSEN
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.select import Selection, select
from evenhand.heads.spec import HeadSpec
from evenhand.metrics.bounds import parity_error_floor, upper_bound
from evenhand.metrics.rates import accuracy, f1_error, gap

EO, DP = Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY


def family(tables):
    """One candidate a strength, at offset 0."""
    tables = np.array(tables)[:, None]
    head = HeadFit(Head(np.zeros((2, 2)), np.zeros(2)), 0.0, 0.0, 1, True)
    return Candidates(
        tuple(float(s) for s in range(len(tables))),
        (0.0,),
        tables,
        np.zeros((len(tables), 1, 2, 2), dtype=int),
        (head,) * len(tables),
        "eo",
        "head",
        np.full(len(tables), 0.5),
    )


def table(tpr, fpr, cells):
    chosen = np.stack([np.array(fpr) * cells[:, 0], np.array(tpr) * cells[:, 1]], axis=1)
    return np.round(np.stack([cells - chosen, chosen], axis=-1)).astype(int)


def curve_of(one, rule=Rule(guard=False), criterion=EO, asked=()):
    return price_curve(Selection((one,), 5), rule, criterion, asked)


CELLS = np.array([[3000, 1500], [6000, 3000]])
PATH = family(
    [
        table((0.60, 0.80), (0.05, 0.10), CELLS),
        table((0.64, 0.77), (0.06, 0.095), CELLS),
        table((0.68, 0.74), (0.07, 0.09), CELLS),
        table((0.70, 0.70), (0.10, 0.10), CELLS),
    ]
)


@st.composite
def families(draw):
    """A path of two to six heads on the same rows, transfer learning first."""
    size = st.integers(120, 4000)
    cells = np.array([[draw(size), draw(size)], [draw(size), draw(size)]])
    rate = st.floats(0.05, 0.95)
    number = draw(st.integers(2, 6))
    return family(
        [table((draw(rate), draw(rate)), (draw(rate), draw(rate)), cells) for _ in range(number)]
    )


@given(families(), st.sampled_from([EO, DP]), st.floats(0.01, 0.9), st.booleans())
def test_what_is_told_is_what_is_had(one, criterion, asked, guard):
    """Each price is the choice that a run with the bound makes; below the smallest none is made."""
    rule = Rule(guard=guard, criterion=criterion)
    curve = curve_of(one, rule, criterion, [asked])
    assert asked in [price.bound for price in curve.prices]
    for price in curve.prices:
        choice = select([one], replace(rule, bounds=(Bound(criterion, price.bound),)), features=5)
        assert price.promised is choice.promised is (price.bound >= curve.smallest)
        assert (price.error, price.cost) == (choice.error, choice.cost)
        assert price.gap == choice.gaps[criterion]
        assert not price.promised or price.upper <= price.bound
        assert price.rows is None or curve.rows < price.rows <= 1.1 * MOST_TIMES * curve.rows
    if curve.promised and curve.smallest < 0.999:
        assert 0 <= curve.promised[0].bound - curve.smallest <= 0.0011
    bounds = [price.bound for price in curve.prices]
    assert bounds == sorted(set(bounds))
    if not guard:
        costs = [price.cost for price in curve.promised]
        assert costs == sorted(costs, reverse=True)
    if criterion is DP:
        assert all(100 - p.accuracy >= p.least_error - 1e-9 for p in curve.promised)
    else:
        assert not any(p.least_error for p in curve.prices)


def by_a_loop(one, limit, *, half):
    """The fewest rows at which a candidate's margin fits under the limit, found by trying."""
    rows = one.tables[0, 0].sum()
    errors = [float(f1_error(tables[0].sum(axis=0))) for tables in one.tables]
    able = range(len(errors))
    if half is not None:
        able = [s for s in able if errors[s] - errors[0] <= half]
    figures = []
    for s in able:
        own = float(gap(one.tables[s, 0], EO))
        figures.append((own, float(upper_bound(one.tables[s, 0], EO, 1.2815515594 + CHOSEN)) - own))
    for times in np.linspace(1.0001, MOST_TIMES, 4_000):
        for own, margin in figures:
            if own + margin / math.sqrt(times) <= limit:
                return rows * times
    return None


@pytest.mark.parametrize("limit", [0.03, 0.06, 0.1, 0.15, 0.22])
def test_the_rows_it_takes(limit):
    curve = curve_of(PATH, asked=[limit])
    price = next(price for price in curve.prices if price.bound == limit)
    half = price.cost / 2 if price.promised else None
    slow = by_a_loop(PATH, limit, half=half)
    if price.rows is None:
        already = not price.promised or price.cost < 0.1 or slow is None
        assert already
    else:
        assert price.rows == pytest.approx(slow, rel=0.06)
        assert price.rows >= slow * 0.999


def test_four_times_the_rows_promise_what_was_told():
    """The model of the margin is exact where the gaps stay: tables times a number are such rows."""
    small = replace(PATH, tables=PATH.tables // 10)
    curve = curve_of(small)
    refused = [p for p in curve.prices if not p.promised and p.rows is not None]
    assert refused
    for price in refused:
        times = math.ceil(price.rows / curve.rows)
        more = replace(small, tables=small.tables * times)
        assert curve_of(more, asked=[price.bound]).smallest <= price.bound


def test_the_ends_of_the_curve_and_the_constant():
    curve = curve_of(PATH)
    uppers = [float(upper_bound(t[0], EO, 1.2815515655446004 + CHOSEN)) for t in PATH.tables]
    errors = [float(f1_error(t[0].sum(axis=0))) for t in PATH.tables]
    assert curve.smallest == pytest.approx(min(uppers))
    assert curve.promised[0].bound == pytest.approx(min(uppers), abs=1e-3)
    assert curve.promised[-1].error == min(errors)
    assert curve.transfer.gap == pytest.approx(float(gap(PATH.tables[0, 0], EO)))
    assert curve.transfer.accuracy == 100 * float(accuracy(PATH.tables[0, 0].sum(axis=0)))
    assert curve.constant_accuracy == pytest.approx(100 * 9000 / 13500)
    assert curve.half.bound == half_of(curve.transfer.gap)
    assert curve.rows == CELLS.sum()


def test_what_any_classifier_pays_is_counted_over_the_groups_that_count_and_told_of_all_rows():
    cells = np.array([[3000, 1500], [1000, 3000], [30, 5]])
    path = family([table((0.8, 0.8, 0.8), (0.1, 0.1, 0.1), cells)])
    curve = curve_of(path, Rule(guard=False, criterion=DP), DP, [0.1])
    price = next(p for p in curve.prices if p.bound == 0.1)
    own = parity_error_floor(cells[:2], 0.1)
    assert price.least_error == pytest.approx(own * cells[:2].sum() / cells.sum())


def test_where_nothing_can_be_promised_there_is_no_price():
    cells = np.array([[3000, 60], [6000, 3000]])
    path = family([table((0.6, 0.8), (0.05, 0.1), cells), table((0.7, 0.7), (0.1, 0.1), cells)])
    curve = curve_of(path, asked=[0.3])
    assert curve.smallest == math.inf
    assert [price.bound for price in curve.prices] == [0.3]
    assert not curve.promised
    assert curve.half is None


def test_a_number_of_rows_is_told_to_two_digits_and_never_less():
    assert [about(n) for n in (7, 10.2, 1234, 7700, 7701, 99_999)] == [
        7, 11, 1300, 7700, 7800, 100_000,
    ]  # fmt: skip


def test_more_rows_of_the_same_kind_do_what_was_said(make_rows):
    """On rows drawn anew: the bound that was refused is promised on about the rows told."""
    from evenhand.heads.selection.candidates import CandidateGrid
    from evenhand.heads.selection.fair_head import fit_fair_head

    grid = CandidateGrid((0.0, 0.3, 1.0, 3.0, 10.0), (0.0,))
    spec, rule = HeadSpec(ridge=1e-3), Rule(guard=False)

    def priced(n, seed, limit):
        rows = make_rows(n, 4, seed=seed)
        fair = fit_fair_head(rows, rule, spec, grid=grid)
        return price_curve(fair.selection, rule, EO, [limit])

    few = priced(800, 0, 0.1)
    (refused,) = [price for price in few.prices if price.bound == 0.1]
    assert not refused.promised
    assert refused.rows is not None
    held = [priced(2 * refused.rows, seed, 0.1).smallest <= 0.1 for seed in range(1, 5)]
    assert sum(held) >= 3
