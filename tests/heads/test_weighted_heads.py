"""Weighted rows are fitted, counted and judged as the rows repeated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evenhand.criteria import Criterion
from evenhand.fisher.head_fisher import head_fisher
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.heads import fit as fitting
from evenhand.heads.adapter import Hidden
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.selection import folds as folding
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.fair_head import fit_fair_head
from evenhand.heads.selection.merges import group_directions
from evenhand.heads.selection.parts import fit_parts_of
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.heads.tilted import cells_of, fit_tilted
from evenhand.rows import Rows
from evenhand.weights import Weights


def weighted_and_repeated(classes=2, rows=400, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 4))
    codes = draw.integers(-1, 3, rows)
    score = x[:, :1] * np.arange(classes) + 0.7 * draw.gumbel(size=(rows, classes))
    score[:, -1] += 0.8 * (codes == 1)
    labels, times = score.argmax(axis=1), draw.integers(0, 4, rows)
    names = tuple("abc"[:classes])
    groups = Groups(codes, ("F", "M", "X"), "sex")
    weighted = Rows(x, labels, groups, names, weights=Weights.of(times, "frequency"))
    repeated = Rows(x, labels, groups, names)[np.repeat(np.arange(rows), times)]
    return weighted, repeated, times


def terms_of(rows, criterion="equalized_odds"):
    return gap_terms(rows.labels, rows.groups, rows.classes, criterion, rows=rows.weights)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("in_passes", [False, True], ids=["in memory", "in passes"])
def test_a_path_is_that_of_the_rows_repeated(classes, in_passes, monkeypatch):
    weighted, repeated, _ = weighted_and_repeated(classes)
    expected = fit_path(repeated, HeadSpec(ridge=1e-2), (0.0, 3.0), terms_of(repeated))
    if in_passes:
        monkeypatch.setattr(fitting, "wants_passes", lambda rows: True)
    found = fit_path(weighted, HeadSpec(ridge=1e-2), (0.0, 3.0), terms_of(weighted))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.head.weight, other.head.weight, atol=1e-6)
        np.testing.assert_allclose(one.head.bias, other.head.bias, atol=1e-6)


@pytest.mark.parametrize("full", [False, True], ids=["adapter", "moved layer"])
def test_so_is_a_hidden_layer_moved(full):
    weighted, repeated, _ = weighted_and_repeated()
    hidden = Hidden(np.random.default_rng(1).normal(size=(4, 6)), np.zeros(6))
    spec = HeadSpec(1e-2, None if full else 1, hidden, full=full)
    control = FitControl(max_evaluations=8)
    (one,), (other,) = (
        fit_path(rows, spec, (0.5,), terms_of(rows), control=control)
        for rows in (weighted, repeated)
    )
    if full:
        np.testing.assert_allclose(one.head.weight, other.head.weight, atol=1e-6)
        np.testing.assert_allclose(one.adapter.down, other.adapter.down, atol=1e-6)
    else:  # preconditioned by other rows: the way there differs, the objective does not
        assert one.value == pytest.approx(other.value, abs=1e-2)


def test_folds_fitted_in_passes_are_those_fitted_in_memory(monkeypatch):
    rows, _, _ = weighted_and_repeated()
    numbers = folding.fold_numbers(rows)
    more = {
        "ridges": (1e-2,),
        "strengths": (0.0, 1.0),
        "refit": True,
        "control": FitControl(),
    }
    expected = fit_parts_of(rows, numbers, HeadSpec(), "equalized_odds", **more)
    monkeypatch.setattr("evenhand.heads.selection.parts.wants_passes", lambda rows: True)
    found = fit_parts_of(rows, numbers, HeadSpec(), "equalized_odds", **more)
    for one, other in zip(found, expected, strict=True):
        for own, theirs in zip(one, other, strict=True):
            np.testing.assert_allclose(own.head.weight, theirs.head.weight, atol=1e-5)


def test_heads_tilted_to_the_worst_cell_and_scores_of_groups_too():
    weighted, repeated, times = weighted_and_repeated()
    for tilts in ((0.0,), (0.0, 10.0)):
        one, other = (
            fit_tilted(rows, cells_of(rows), ridge=1e-2, tilts=tilts)[-1]
            for rows in (weighted, repeated)
        )
        np.testing.assert_allclose(one.head.weight, other.head.weight, atol=1e-4)
    numbers = folding.fold_numbers(weighted)
    found = group_directions(weighted, folds=numbers)
    expected = group_directions(repeated, folds=np.repeat(numbers, times))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.weight, other.weight, atol=1e-6)
        np.testing.assert_allclose(one.bias, other.bias, atol=1e-6)


@pytest.mark.parametrize("kind", ["empirical", "true"])
def test_so_is_the_group_fisher(kind):
    weighted, repeated, _ = weighted_and_repeated(3)
    head = Head(np.random.default_rng(0).normal(size=(4, 3)), np.zeros(3))
    one, other = (
        head_fisher(rows, head, kind=kind, diagonal=True, kronecker=True)
        for rows in (weighted, repeated)
    )
    np.testing.assert_allclose(one.row_sums, other.row_sums, atol=1e-9)
    np.testing.assert_allclose(one.diagonal, other.diagonal, atol=1e-9)
    np.testing.assert_array_equal(one.counts, other.counts)
    for name in ("input_factor", "output_factor", "mean"):
        np.testing.assert_allclose(
            getattr(one.kronecker, name), getattr(other.kronecker, name), atol=1e-9
        )


def same_folds(monkeypatch, weighted, times):
    """Copies of a row in its own fold: what is left is that weights count as copies do."""
    own = folding.fold_numbers(weighted)

    def numbers(rows, *, number=folding.FOLDS, seed=0):
        return own if len(rows) == len(weighted) else np.repeat(own, times)

    for room in ("crossfit", "ridge", "menu", "worst_cells"):
        monkeypatch.setattr(f"evenhand.heads.selection.{room}.fold_numbers", numbers)


@pytest.mark.parametrize("criterion", ["equalized_odds", "worst_cell_accuracy"])
def test_the_whole_choice_is_that_of_the_rows_repeated(criterion, monkeypatch):
    """The ridge, every count, what is chosen and what is promised."""
    weighted, repeated, times = weighted_and_repeated(rows=900)
    same_folds(monkeypatch, weighted, times)
    limit = 0.6 if criterion == "equalized_odds" else 0.4
    rule = Rule((Bound(criterion, limit),), error="accuracy", min_rows=20)
    grid = CandidateGrid((0.0, 1.0), (-0.2, 0.0, 0.2))
    one, other = (fit_fair_head(rows, rule, grid=grid) for rows in (weighted, repeated))
    assert one.ridge == pytest.approx(other.ridge)
    for mine, theirs in zip(one.families, other.families, strict=True):
        if "tilted" in mine.family or mine.merges:  # by an optimum that is found to 1e-6
            assert np.abs(mine.tables - theirs.tables).max() <= 3
        else:
            np.testing.assert_array_equal(mine.tables, theirs.tables)
    assert (one.choice.promised, one.choice.z) == (other.choice.promised, other.choice.z)
    parsed = Criterion.parse(criterion)
    assert one.choice.uppers[parsed] == pytest.approx(other.choice.uppers[parsed], abs=0.01)
    np.testing.assert_allclose(one.head.weight, other.head.weight, atol=1e-3)


def test_survey_weights_scale_out_and_widen_bounds():
    """Twice the weights are the same survey; unequal ones know less than as many equal rows."""
    rows, _, _ = weighted_and_repeated(rows=900)
    draw = np.random.default_rng(2).gamma(0.5, 1, 900) + 0.05
    rule = Rule((Bound("dp", 0.9),), min_rows=20)
    grid = CandidateGrid((0.0,), (0.0,), every_criterion=False, merged=False)

    def bound(values):
        weights = None if values is None else Weights.of(values)
        return fit_fair_head(replace(rows, weights=weights), rule, grid=grid).choice

    survey, doubled, plain = bound(draw), bound(2 * draw), bound(None)
    criterion = Criterion.DEMOGRAPHIC_PARITY
    assert survey.uppers[criterion] == pytest.approx(doubled.uppers[criterion], abs=1e-9)
    width, plain_width = (one.uppers[criterion] - one.gaps[criterion] for one in (survey, plain))
    assert width > 1.3 * plain_width


def test_no_promise_on_fewer_than_a_hundred_effective_rows():
    rows, _, _ = weighted_and_repeated(rows=1200)
    weights = np.ones(1200)
    weights[rows.groups.codes == 2] = 1e-3
    weights[np.flatnonzero(rows.groups.codes == 2)[:40]] = 100.0
    rule = Rule((Bound("dp", 0.9),), min_rows=1)
    grid = CandidateGrid((0.0,), (0.0,), every_criterion=False, merged=False)
    plain = fit_fair_head(replace(rows, weights=None), rule, grid=grid).choice
    found = fit_fair_head(replace(rows, weights=Weights.of(weights)), rule, grid=grid).choice
    assert plain.promised
    assert not found.promised
    assert "only 40 rows of the 100" in found.reason or "only 39 rows" in found.reason
