import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.heads.fit import fit_path
from evenhand.heads.selection.blocks import log_losses
from evenhand.heads.selection.candidates import (
    OFFSETS,
    STRENGTHS,
    CandidateGrid,
)
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.decisions import Given, Judging, count_offsets
from evenhand.heads.selection.folds import folds
from evenhand.heads.selection.ridge import (
    RIDGES,
    WIDE_RIDGES,
    choose_ridge,
    mean_variance,
    ridge_grid,
)
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.metrics.counts import Counts
from evenhand.rows import Rows


def log_loss(logits, labels):
    return float(log_losses(logits, labels).mean())


def judged(seed, n, groups, classes):
    rng = np.random.default_rng(seed)
    rows = Rows(
        np.zeros((n, 1)),
        rng.integers(0, classes, n),
        Groups(rng.integers(-1, groups, n), tuple("abcd"[:groups])),
        tuple("klmn"[:classes]),
    )
    return rows, np.round(2 * rng.normal(size=(n, classes)), 1)


@given(
    st.integers(0, 10_000),
    st.integers(0, 60),
    st.integers(1, 4),
    st.lists(st.integers(-20, 20).map(lambda i: i / 8), min_size=1, max_size=8),
)
def test_counts_at_every_offset_are_those_of_a_loop(seed, n, groups, offsets):
    rows, _ = judged(seed, n, groups, 2)
    margin = np.random.default_rng(seed + 1).integers(-24, 24, n) / 8  # ties on purpose
    found = count_offsets(np.column_stack([np.zeros(n), margin]), rows, offsets)
    assert found.shape == (len(offsets), groups + 1, 2, 2)
    for offset, table in zip(offsets, found, strict=True):
        decisions = np.column_stack([np.zeros(n), margin + offset]).argmax(axis=1)
        counts = Counts.of(rows.labels, decisions, rows.groups, rows.classes)
        np.testing.assert_array_equal(table[:-1], counts.table)
        np.testing.assert_array_equal(table[-1], counts.unknown)


@given(st.integers(0, 10_000), st.integers(0, 60), st.integers(3, 4))
def test_more_classes_have_one_offset(seed, n, classes):
    rows, logits = judged(seed, n, 3, classes)
    found = count_offsets(logits, rows, (0.0,))
    counts = Counts.of(rows.labels, logits.argmax(axis=1), rows.groups, rows.classes)
    np.testing.assert_array_equal(found[0, :-1], counts.table)
    np.testing.assert_array_equal(found[0, -1], counts.unknown)


@given(st.integers(0, 10_000), st.integers(10, 80), st.integers(1, 4), st.integers(2, 4))
def test_folds_part_all_rows_once_whatever_the_cells(seed, n, groups, classes):
    rows, _ = judged(seed, n, groups, classes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = folds(rows, seed=seed)
    assert len(parts) == 5
    assert sorted(np.concatenate([judge for _, judge in parts])) == list(range(n))
    for fit, judge in parts:
        assert sorted([*fit, *judge]) == list(range(n))


def test_folds_keep_the_cells_shares():
    rows, _ = judged(0, 3000, 3, 2)
    cell = rows.groups.codes * 2 + rows.labels
    whole = np.bincount(cell + 2)
    for _, judge in folds(rows):
        assert np.abs(np.bincount(cell[judge] + 2) - whole / 5).max() <= 1
    same = [judge.tolist() for _, judge in folds(rows, seed=1)]
    assert same == [judge.tolist() for _, judge in folds(rows, seed=1)]
    assert same != [judge.tolist() for _, judge in folds(rows, seed=2)]


def test_too_few_rows_to_cross_fit_are_refused(make_rows):
    with pytest.raises(InputError, match="5-fold cross-fitting needs 10 rows, found 9"):
        folds(make_rows(n=9))


def test_ridge_is_heavy_where_features_say_nothing_and_light_where_they_say_much(make_rows):
    rng = np.random.default_rng(0)
    rows = make_rows(n=300, d=40)
    nothing = rows.with_features(rng.normal(size=(300, 40)))
    assert choose_ridge(nothing) == max(ridge_grid(nothing))
    assert choose_ridge(make_rows(n=4000, d=3)) <= 1e-2
    assert choose_ridge(nothing, ridges=(0.5,)) == 0.5
    wide = make_rows(n=60, d=520)
    assert choose_ridge(wide) >= 0.03
    assert ridge_grid(wide) == pytest.approx(np.array(WIDE_RIDGES) * mean_variance(wide))


def test_a_ridge_weighs_the_same_in_other_units(make_rows):
    rows = make_rows(n=300, d=7)
    assert mean_variance(rows) == pytest.approx(rows.features.var(axis=0).mean())
    metres = rows.with_features(1000 * rows.features + 50)
    assert mean_variance(metres) == pytest.approx(1e6 * mean_variance(rows))
    assert choose_ridge(metres) == pytest.approx(1e6 * choose_ridge(rows))
    assert mean_variance(rows.with_features(np.ones((300, 2)))) == 1
    assert ridge_grid(rows.with_features(np.ones((300, 2)))) == RIDGES


def test_a_ridge_is_chosen_for_what_will_be_fitted(make_rows):
    """Towards a head that is right already, the heaviest ridge is the best."""
    rows = make_rows(n=400, d=4)
    right = fit_path(rows, HeadSpec(ridge=1e-6))[0].head
    assert choose_ridge(rows, HeadSpec(anchor=right)) == max(ridge_grid(rows))
    assert choose_ridge(rows) < max(ridge_grid(rows))


def test_ridge_is_the_lowest_cross_validated_log_loss(make_rows):
    rows = make_rows(n=150, d=20)
    losses = []
    for ridge in ridge_grid(rows):
        parts = [
            log_losses(
                fit_path(rows[fit], HeadSpec(ridge=ridge))[0].head.logits(rows[judge].features),
                rows[judge].labels,
            ).sum()
            for fit, judge in folds(rows)
        ]
        losses.append(sum(parts))
    assert choose_ridge(rows) == ridge_grid(rows)[int(np.argmin(losses))]


def test_log_losses():
    logits = np.log(np.array([[0.2, 0.8], [0.5, 0.5]]))
    assert log_losses(logits, np.array([1, 0])).mean() == pytest.approx(-np.log([0.8, 0.5]).mean())


@pytest.mark.parametrize("classes", [2, 3])
def test_log_losses_are_torchs_cross_entropy(classes):
    draw = np.random.default_rng(0)
    logits, labels = draw.normal(0, 30, (500, classes)), draw.integers(0, classes, 500)
    expected = torch.nn.functional.cross_entropy(
        torch.as_tensor(logits), torch.as_tensor(labels), reduction="none"
    )
    np.testing.assert_allclose(log_losses(logits, labels), expected.numpy(), rtol=1e-12, atol=1e-13)
    assert log_losses(logits[:0], labels[:0]).sum() == 0


def test_candidates_are_judged_on_rows_kept_from_them(make_rows):
    rows = make_rows(n=400, unknown=0.1)
    told = []
    found = crossfit(
        rows,
        HeadSpec(ridge=1e-2),
        "eo",
        grid=CandidateGrid(strengths=(0.0, 1.0), offsets=(-0.5, 0.0, 0.5)),
        control=FitControl(on_fit=lambda: told.append(1)),
    )
    assert found.tables.shape == (2, 3, 2, 2, 2)
    assert found.unknown.shape == (2, 3, 2, 2)
    assert (found.totals.sum(axis=(2, 3)) == 400).all()
    assert len(told) == 6 * 2
    expected = np.zeros((3, 2, 2), int)
    loss = 0.0
    for fit, judge in folds(rows):
        head = fit_path(rows[fit], HeadSpec(ridge=1e-2))[0].head
        part = rows[judge]
        loss += log_losses(head.logits(part.features), part.labels).sum()
        for o, offset in enumerate((-0.5, 0.0, 0.5)):
            decisions = head.shifted(offset).predict(part.features)
            expected[o] += Counts.of(part.labels, decisions, part.groups, part.classes).total
    np.testing.assert_array_equal(found.totals[0], expected)
    assert found.log_loss[0] == pytest.approx(loss / 400)
    refit = fit_path(rows, HeadSpec(ridge=1e-2))[0].head
    np.testing.assert_allclose(found.fits[0].head.weight, refit.weight, atol=1e-6)
    moved = found.fit((0, 2)).head
    np.testing.assert_allclose(moved.bias, found.fits[0].head.shifted(0.5).bias)
    assert found.fit((0, 1)) is found.fits[0]
    assert found.family == "head"


def test_more_classes_and_memory_of_what_was_asked(make_rows):
    rows = make_rows(n=300, classes=3, groups=3)
    found = crossfit(
        rows, HeadSpec(ridge=1e-2), {"dp": 1.0}, grid=CandidateGrid(strengths=(0.0, 0.3))
    )
    assert found.offsets == (0.0,)
    assert found.tables.shape == (2, 1, 3, 3, 3)


def test_the_default_candidates():
    assert len(STRENGTHS) == 18
    assert STRENGTHS[0] == 0
    assert STRENGTHS[1] == pytest.approx(0.03)
    assert STRENGTHS[-1] == pytest.approx(100)
    assert len(OFFSETS) == 25
    assert (OFFSETS[0], OFFSETS[12], OFFSETS[-1]) == (-1, 0, 1)


@pytest.mark.parametrize("bad", [{"strengths": (1.0,)}, {"strengths": ()}, {"offsets": (0.5,)}])
def test_transfer_learning_must_be_among_the_candidates(make_rows, bad):
    with pytest.raises(InputError, match="must include transfer learning"):
        CandidateGrid(**bad)


@given(st.integers(0, 99), st.integers(2, 4), st.integers(0, 30))
def test_decisions_of_held_out_rows_are_those_of_a_loop(seed, classes, n):
    rows, _ = judged(seed, n, 3, classes)
    draw = np.random.default_rng(seed)
    heads = [draw.normal(size=(n, classes)) for _ in range(2)]
    offsets = (-0.5, 0.0, 0.7, 0.1) if classes == 2 else (0.0,)
    judging, given = Judging(rows, 2, offsets), Given(rows, 2, offsets)
    for part in (np.arange(0, n, 2), np.arange(1, n, 2)):  # in two parts, as of folds
        judging.add(part, (logits[part] for logits in heads))
        given.add(part, (logits[part] for logits in heads))
    found = judging.decisions()
    np.testing.assert_array_equal(given.total(), found.tables().sum(axis=(2, 3)))
    plain = draw.integers(0, classes, n)
    weights = draw.random(n)
    one = np.eye(classes)[1]
    tables, differing = found.tables(), found.differing(plain)
    weighted = found.weighted(weights)
    for s, logits in enumerate(heads):
        for o, offset in enumerate(offsets):
            decided = (logits + offset * one).argmax(axis=1)
            np.testing.assert_array_equal(found.at((s, o)), decided)
            counts = Counts.of(rows.labels, decided, rows.groups, rows.classes)
            np.testing.assert_array_equal(tables[s, o, :-1], counts.table)
            np.testing.assert_array_equal(tables[s, o, -1], counts.unknown)
            differ = decided != plain
            expected = [(differ & (rows.labels == label)).sum() for label in range(classes)]
            assert differing[s, o].tolist() == expected
            sums = [weights[decided == to].sum() for to in range(classes)]
            np.testing.assert_allclose(weighted[s, o], sums, atol=1e-12)
    if n:
        losses = [log_losses(logits, rows.labels).mean() for logits in heads]
        np.testing.assert_allclose(judging.log_loss(), losses)


def test_log_odds_say_what_two_logits_say(make_rows):
    rows, logits = judged(3, 50, 2, 2)
    odds = logits[:, 1] - logits[:, 0]
    one, other = Judging(rows, 1, OFFSETS), Judging(rows, 1, OFFSETS)
    one.add(np.arange(50), iter([logits]))
    other.add(np.arange(50), iter([odds]))
    np.testing.assert_array_equal(one.passed, other.passed)
    np.testing.assert_allclose(one.log_loss(), other.log_loss())
    np.testing.assert_array_equal(one.log_odds, odds)


@pytest.mark.parametrize("number", [1, 3])
def test_what_is_shipped_is_as_many_heads_as_were_said(number):
    rows, logits = judged(3, 50, 2, 2)
    with pytest.raises(ValueError, match="argument 2 is"):
        Given(rows, 2, OFFSETS).add(np.arange(50), [logits] * number)


def test_groups_of_few_rows_are_counted_and_steer_no_penalty(make_rows):
    """The heads are those of rows whose small group is unknown; its rows are counted still."""
    rows = make_rows(n=900, groups=3)
    codes = np.where((rows.groups.codes == 2) & (np.arange(900) % 5 > 0), 0, rows.groups.codes)
    small = replace(rows, groups=Groups(codes, rows.groups.names, "team"))
    blind = replace(small, groups=small.groups.without([2]))
    grid = CandidateGrid((0.0, 3.0), (0.0,))
    spec = HeadSpec(ridge=1e-2)
    whole = crossfit(small, spec, "eo", grid=grid)
    without = crossfit(blind, spec, "eo", grid=grid)
    steered = crossfit(small, spec, "eo", grid=grid, min_rows=10)
    np.testing.assert_array_equal(whole.fits[1].head.weight, without.fits[1].head.weight)
    assert not np.allclose(whole.fits[1].head.weight, steered.fits[1].head.weight, atol=1e-3)
    assert whole.tables[0, 0, 2].sum() == (codes == 2).sum() < 100
    assert without.tables[0, 0, 2].sum() == 0
