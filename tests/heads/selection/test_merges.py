"""Merges against what they are said to be, in loops."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from evenhand.groups import Groups
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.folds import folds
from evenhand.heads.selection.merges import (
    OF_PATH,
    OF_TRANSFER,
    RIDGE,
    group_directions,
    mergeable,
    merged,
    point_merges,
    signs_of,
    transfer_merges,
)
from evenhand.heads.spec import HeadSpec
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import gap

GRID = CandidateGrid((0.0, 1.0), (-0.5, 0.0, 0.5))


@pytest.mark.parametrize(("groups", "unknown", "shift"), [(2, 0.0, 0.0), (3, 0.1, 1e4)])
def test_directions_are_those_of_a_ridge_regression_on_the_other_folds(
    make_rows, groups, unknown, shift
):
    rows = make_rows(n=600, groups=groups, unknown=unknown)
    rows = rows.with_features(rows.features + shift)
    found = group_directions(rows)
    assert len(found) == 6
    kept = [fit for fit, _ in folds(rows)] + [np.arange(600)]
    largest = int(rows.groups.sizes.argmax())
    for part, one in zip(kept, found, strict=True):
        part = part[rows.groups.known[part]]
        x, codes = rows.features[part], rows.groups.codes[part]
        assert one.groups == tuple(g for g in range(groups) if g != largest)
        ridge = RIDGE * x.var(axis=0).mean() * len(x)
        for b, group in enumerate(one.groups):
            oracle = Ridge(alpha=ridge).fit(x, codes == group)
            score = oracle.predict(x)
            score = (score - score.mean()) / score.std()
            np.testing.assert_allclose(x @ one.weight[:, b] + one.bias[b], score, atol=1e-5)


def test_groups_left_out_have_no_score_and_one_group_has_none(make_rows):
    rows = make_rows(n=300, groups=3)
    (*_, whole) = group_directions(rows, [0])
    assert 0 not in whole.groups
    assert len(whole.groups) == 1
    assert group_directions(rows, [0, 1]) is None
    assert group_directions(rows.with_features(np.ones((300, 2)))) is None


def test_merges_are_judged_by_heads_that_did_not_see_the_rows(make_rows):
    rows = make_rows(n=500)
    path = crossfit(rows, HeadSpec(ridge=1e-2), "eo", grid=GRID)
    directions = group_directions(rows)
    wanted = transfer_merges(path, directions[-1]) + point_merges(path, directions[-1])
    found = merged(rows, path, directions, wanted)
    assert found.family == "head, merged"
    assert len(found.strengths) == len(found.fits) == len(found.merges)
    assert set(found.strengths) == {0.0, 1.0}
    for number in (0, 5, len(found.merges) - 1):
        s = GRID.strengths.index(found.strengths[number])
        t = found.merges[number]
        expected = np.zeros((3, 2, 2, 2), dtype=int)
        for fold, (_, judge) in enumerate(folds(rows)):
            part = rows[judge]
            logits = path.parts[fold][s].logits(part.features)
            score = part.features @ directions[fold].weight[:, 0] + directions[fold].bias[0]
            for o, offset in enumerate(GRID.offsets):
                decided = (logits[:, 1] - logits[:, 0] + t * score + offset > 0).astype(int)
                expected[o] += Counts.of(part.labels, decided, part.groups, part.classes).table
        np.testing.assert_array_equal(found.tables[number], expected)
        plain = path.fits[s].logits(rows.features)
        whole = rows.features @ directions[-1].weight[:, 0] + directions[-1].bias[0]
        logits = found.fit((number, 0)).logits(rows.features)
        np.testing.assert_allclose(
            logits[:, 1] - logits[:, 0], plain[:, 1] - plain[:, 0] + t * whole - 0.5, atol=1e-9
        )


def test_the_sense_of_a_merge_lessens_transfer_learnings_gap(make_rows):
    rows = make_rows(n=2000)
    path = crossfit(rows, HeadSpec(ridge=1e-2), "eo", grid=GRID)
    directions = group_directions(rows)
    found = merged(rows, path, directions, transfer_merges(path, directions[-1]))
    before = float(gap(path.tables[0, 1], "dp"))
    assert before > 0.1
    steps = np.abs(found.merges)
    after = gap(found.tables[steps < 0.5, 1], "dp")
    assert (after < before).all()
    assert set(np.round(steps, 6)) == set(np.round(OF_TRANSFER, 6))


def test_which_heads_are_merged(make_rows):
    rows = make_rows(n=400)
    path = crossfit(rows, HeadSpec(ridge=1e-2), "eo", grid=GRID)
    (*_, whole) = group_directions(rows)
    transfer, points = transfer_merges(path, whole), point_merges(path, whole)
    assert {s for s, _, _ in transfer} == {0}
    assert {abs(t) for _, _, t in transfer} == set(OF_TRANSFER)
    assert {s for s, _, _ in points} == {1}
    assert {abs(t) for _, _, t in points} == {abs(t) for t in OF_PATH}
    assert mergeable(rows, path)
    assert not mergeable(rows, replace(path, parts=()))
    three = make_rows(n=400, classes=3)
    assert not mergeable(three, crossfit(three, HeadSpec(ridge=1e-2), "eo", grid=GRID))


@given(st.lists(st.integers(1, 50), min_size=8, max_size=8))
def test_both_senses_are_tried_where_gaps_disagree(counts):
    table = np.array(counts).reshape(2, 2, 2)
    signs = signs_of(table, 1)
    shares = table[:, :, 1] / table.sum(axis=2)
    selected = table[:, :, 1].sum(axis=1) / table.sum(axis=(1, 2))
    dp, eo = selected[1] - selected[0], (shares[1] - shares[0]).sum()
    expected = {-1.0 if round(value, 12) > 0 else 1.0 for value in (dp, eo)}
    if min(abs(dp), abs(eo)) > 1e-9:
        assert set(signs) == expected


def test_a_group_that_nothing_tells_apart_is_not_merged(make_rows):
    rows = make_rows(n=300)
    one = replace(rows, groups=Groups(np.zeros(300, dtype=int), ("a", "b")))
    assert group_directions(one) is None


@pytest.mark.parametrize("scale", [1e-30, 1e-14, 1.0, 1e13, 1e29])
def test_directions_are_those_of_float64_however_large_the_features(make_rows, scale):
    rows = make_rows(n=300, groups=2)
    wide = rows.with_features(rows.features * scale)
    single = rows.with_features(wide.features.astype(np.float32))
    for one, other in zip(group_directions(wide), group_directions(single), strict=True):
        np.testing.assert_allclose(one.weight * scale, other.weight * scale, rtol=1e-3, atol=1e-4)
