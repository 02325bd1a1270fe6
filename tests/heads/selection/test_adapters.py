"""Adapters' counts: each row left out of one path of fits, or five folds."""

from dataclasses import replace

import numpy as np
import pytest

from evenhand.heads.adapter import Hidden
from evenhand.heads.fit import fit_path
from evenhand.heads.selection import adapters
from evenhand.heads.selection.adapters import judged_adapters, may_leave_out
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.fair_head import HiddenRows, adapter_families
from evenhand.heads.selection.folds import FOLDS
from evenhand.heads.selection.parts import terms_of
from evenhand.heads.selection.rule import Rule
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.weights import Weights

GRID = CandidateGrid(strengths=(0.0, 1.0), offsets=(-0.3, 0.0, 0.3))
BY = {"grid": GRID, "min_rows": 30}


@pytest.fixture
def spec():
    rng = np.random.default_rng(2)
    layer = Hidden(rng.normal(size=(5, 4)), rng.normal(size=4))
    return HeadSpec(ridge=1e-2, rank=1, hidden=layer, beta=1.0)  # of 14 parameters


def same(one, other):
    np.testing.assert_array_equal(one.tables, other.tables)
    np.testing.assert_array_equal(one.decisions.log_odds, other.decisions.log_odds)


def test_from_one_path_of_fits_come_counts_like_those_of_folds(make_rows, spec):
    rows = make_rows(n=900)
    ticks = []
    control = FitControl(on_fit=lambda: ticks.append(0))
    found = judged_adapters(rows, spec, "eo", control=control, **BY)
    assert len(ticks) == (FOLDS + 1) * 2
    assert found.parts == ()
    folds = crossfit(rows, spec, "eo", grid=GRID, min_rows=30)
    assert (found.family, found.strengths, found.offsets) == (
        folds.family,
        folds.strengths,
        folds.offsets,
    )
    np.testing.assert_array_equal(found.given, folds.given)
    assert np.abs(found.tables - folds.tables).max() < 0.05 * len(rows)
    np.testing.assert_allclose(found.log_loss, folds.log_loss, atol=0.02)

    fits = fit_path(rows, spec, GRID.strengths, terms_of(rows, spec, "eo"))
    given = np.diff(fits[0].logits(rows.features))[:, 0]
    toward = np.where(rows.labels == 1, 1, -1)
    moved = toward * (found.decisions.log_odds - given)
    assert (moved <= 1e-12).all()  # none is told its own label
    assert moved.mean() < -1e-3


@pytest.mark.parametrize(("n", "parts"), [(840, 0), (839, FOLDS + 1)])
def test_the_families_of_a_choice_are_judged_so(make_rows, spec, n, parts):
    hidden = HiddenRows(spec.hidden, make_rows(n=n), 1, strengths=(0.0, 0.3))
    found = adapter_families(hidden, Rule(), 1e-2, grid=GRID)
    assert [len(family.parts) for family in found] == [parts] * len(found)


def test_few_rows_are_left_out_by_folds(make_rows, spec):
    assert may_leave_out(make_rows(n=60 * 14), spec)
    rows = make_rows(n=60 * 14 - 1)
    assert not may_leave_out(rows, spec)
    found = judged_adapters(rows, spec, "eo", control=FitControl(), **BY)
    same(found, crossfit(rows, spec, "eo", grid=GRID, min_rows=30))
    assert len(found.parts) == FOLDS + 1


def test_weights_and_more_classes_are_left_out_by_folds(make_rows, spec):
    rows = make_rows(n=900)
    weighted = replace(rows, weights=Weights.of(np.linspace(0.5, 1.5, 900)))
    assert may_leave_out(rows, spec)
    assert not may_leave_out(weighted, spec)
    assert not may_leave_out(make_rows(n=900, classes=3), spec)
    found = judged_adapters(weighted, spec, "eo", control=FitControl(), **BY)
    same(found, crossfit(weighted, spec, "eo", grid=GRID, min_rows=30))


def test_only_a_low_rank_change_of_not_too_many_parameters_is(make_rows, spec, monkeypatch):
    rows = make_rows(n=900)
    assert not may_leave_out(rows, replace(spec, rank=None, full=True))
    assert not may_leave_out(rows, HeadSpec(ridge=1e-2))
    monkeypatch.setattr(adapters, "MOST_PARAMETERS", 13)
    assert not may_leave_out(rows, spec)


def test_where_nothing_can_be_told_folds_tell(make_rows, spec, monkeypatch):
    rows = make_rows(n=900)
    ticks = []
    monkeypatch.setattr(adapters, "left_out_log_odds", lambda *_: None)
    control = FitControl(on_fit=lambda: ticks.append(0))
    found = judged_adapters(rows, spec, "eo", control=control, **BY)
    same(found, crossfit(rows, spec, "eo", grid=GRID, min_rows=30))
    assert len(ticks) == (FOLDS + 1) * 2
