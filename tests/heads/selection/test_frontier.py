"""What each bound would be answered with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.fair_head import fit_fair_head
from evenhand.heads.selection.frontier import frontier, undominated
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.spec import HeadSpec

VALUES = st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, np.nan, np.inf]), min_size=0, max_size=12)


@given(VALUES, st.integers(0, 99))
def test_what_nothing_betters_is_that_of_a_loop(error, seed):
    error = np.array(error)
    upper = np.random.default_rng(seed).permutation(error)
    found = undominated(error, upper)
    finite = np.isfinite(error) & np.isfinite(upper)
    expected = set()
    for at in np.flatnonzero(finite):
        no_worse = finite & (error <= error[at]) & (upper <= upper[at])
        if not (no_worse & ((error < error[at]) | (upper < upper[at]))).any():
            expected.add((error[at], upper[at]))
    assert {(error[at], upper[at]) for at in found} == expected
    assert len(found) == len(expected)
    assert (np.diff(upper[found]) < 0).all()


def test_the_frontier_falls_from_the_largest_bound_on_and_holds_the_choice(make_rows):
    rule = Rule((Bound("eo", 0.4),))
    grid = CandidateGrid((0.0, 1.0, 10.0), (-0.5, 0.0, 0.5))
    found = fit_fair_head(make_rows(n=900), rule, HeadSpec(1e-2), grid=grid)
    points = frontier(found, rule)
    uppers = [point.upper for point in points]
    assert uppers == sorted(uppers, reverse=True)
    assert sum(point.chosen for point in points) == 1
    rest = [point.error for point in points if not point.chosen]
    assert rest == sorted(rest)
    assert len(frontier(found, rule, most=3)) <= 4


def test_by_estimates_what_was_searched_stands_a_standard_error_behind_what_was_fitted(make_rows):
    rule = Rule((Bound("worst_cell_accuracy", 0.4),), error="accuracy")
    grid = CandidateGrid((0.0, 1.0, 10.0), (-0.5, 0.0, 0.5))
    found = fit_fair_head(make_rows(n=900), rule, HeadSpec(1e-2), grid=grid)
    points = frontier(found, rule, None, promised=False)
    seen = []
    for number, family in enumerate(found.families):
        for s, o in np.ndindex(family.tables.shape[:2]):
            table = family.tables[s, o]
            sizes = table.sum(axis=-1)
            share = np.einsum("gyy->gy", table) / sizes
            p = (share * sizes + 1) / (sizes + 2)
            fitted = "tilted" in family.family and family.offsets[o] == 0
            taken = share if fitted else share - np.sqrt(p * (1 - p) / sizes)
            error = 100 * (1 - np.einsum("gyy->", table) / table.sum())
            seen.append((number, (s, o), error, float(taken.min())))
    told = {(number, index): (error, taken) for number, index, error, taken in seen}
    assert len(points) > 1
    for point in points:
        error, taken = told[point.family, point.index]
        assert (point.error, point.upper) == pytest.approx((error, taken))
        bettered = any(e < error - 1e-9 and t > taken + 1e-9 for _, _, e, t in seen)
        assert point.chosen or not bettered
