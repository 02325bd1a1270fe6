"""Candidates with cross-fitted counts: every head of the path, judged on rows kept from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from evenhand._base.arrays import IntArray
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.candidates import (
    DEFAULT_GRID,
    CandidateGrid,
    Candidates,
    Criteria,
    family_name,
)
from evenhand.heads.selection.decisions import Given, Judging
from evenhand.heads.selection.folds import fold_numbers
from evenhand.heads.selection.parts import fit_parts_of
from evenhand.heads.selection.requirements import counts_of
from evenhand.heads.selection.rule import MIN_ROWS
from evenhand.heads.selection.views import Views, seen_alike
from evenhand.heads.spec import DEFAULT_CONTROL, FitControl, HeadSpec
from evenhand.metrics.bounds import counted_groups
from evenhand.rows import Rows


def crossfit(
    rows: Rows,
    spec: HeadSpec,
    criteria: Criteria,
    *,
    grid: CandidateGrid = DEFAULT_GRID,
    control: FitControl = DEFAULT_CONTROL,
    min_rows: int = MIN_ROWS,
) -> Candidates:
    """Fit the path on each fold's other rows, count its decisions on the fold, refit on all.

    Args:
        rows: all development rows: features, labels, groups. In a world each process gives its
            part, and all get the same candidates; adapters are fitted by each process on rows it
            holds whole.
        spec: what is fitted; its ridge is :func:`choose_ridge`'s. Without an intercept nothing can
            be added to the log-odds either.
        criteria: what to even out, or a mapping of criteria to weights.
        grid: the candidates' strengths and offsets.
        control: where to begin, when to stop, the folds' seed.
        min_rows: groups whose rates have fewer rows are counted, and steer no penalty.

    Returns:
        The candidates, their counts on held-out rows, and their heads fitted on all rows.

    Raises:
        InputError: too few rows or classes, no ridge, or features that are not finite.

    Example:
        >>> grid = eh.heads.CandidateGrid(strengths=(0.0, 1.0), offsets=(0.0,))
        >>> spec = eh.heads.HeadSpec(ridge=1e-3)
        >>> candidates = eh.heads.crossfit(rows, spec, "equalized_odds", grid=grid)
        >>> candidates.tables.shape  # (strengths, offsets, groups, labels, decisions)
        (2, 1, 2, 2, 2)
    """  # noqa: DOC502
    spec = replace(spec, left_out=too_small(rows, criteria, min_rows))
    numbers = fold_numbers(rows, seed=control.seed)
    parts = fit_parts_of(
        rows,
        numbers,
        spec,
        criteria,
        ridges=(spec.require_ridge(),),
        strengths=grid.strengths,
        refit=True,
        control=control,
    )
    return _judged(rows, parts, spec, criteria, grid, seen_alike(rows, numbers))


def crossfit_seen(
    views: Views,
    spec: HeadSpec,
    criteria: Criteria,
    *,
    grid: CandidateGrid = DEFAULT_GRID,
    control: FitControl = DEFAULT_CONTROL,
    min_rows: int = MIN_ROWS,
) -> Candidates:
    """As :func:`crossfit`, where each fold's heads read a model that was trained without the fold.

    Args:
        views: all development rows as each of these models sees them, and the one that is shipped.
        spec, criteria, grid, control, min_rows: as for :func:`crossfit`.

    Raises:
        InputError: as :func:`crossfit`.
    """  # noqa: DOC502
    rows = views.whole
    spec = replace(spec, left_out=too_small(rows, criteria, min_rows))
    spec.require_ridge()
    parts = list(views.fit(spec, criteria, grid.strengths, control))
    return _judged(rows, parts, spec, criteria, grid, views.held_out())


def as_trained(
    views: Views, spec: HeadSpec, criteria: Criteria, grid: CandidateGrid = DEFAULT_GRID
) -> Candidates:
    """The heads that the models of ``views`` were trained with, at every offset, as a family.

    Args:
        views: with such heads.
        spec: its name, after which the family is called.
        criteria: what training evened out.
        grid: the offsets.
    """
    parts = [[HeadFit(head, views.strength, np.nan, 0, converged=True)] for head in views.heads]
    named = replace(spec, name=f"{family_name(spec)} as trained", ridge=None)
    return _judged(views.whole, parts, named, criteria, grid, views.held_out())


def _judged(
    rows: Rows,
    parts: list[list[HeadFit]],
    spec: HeadSpec,
    criteria: Criteria,
    grid: CandidateGrid,
    seen: Iterable[tuple[int, IntArray, Rows, Rows]],
) -> Candidates:
    """What each fold's heads, and those of all rows, decide on rows of the fold.

    ``seen``: fold, places of some of its rows, and those rows as the one and the others read them.
    """
    offsets = grid.offsets if len(rows.classes) == 2 and spec.intercept else (0.0,)
    judging = Judging(rows, len(parts[-1]), offsets)
    shipped = Given(rows, len(parts[-1]), offsets)
    for fold, places, judged, whole in seen:
        judging.add(places, (fit.logits(judged.features) for fit in parts[fold]))
        shipped.add(places, (fit.logits(whole.features) for fit in parts[-1]))
    return Candidates.judged(
        judging,
        parts[-1],
        criteria=criteria,
        family=family_name(spec),
        ridge=spec.ridge,
        parts=parts,
        shipped=shipped,
    )


def too_small(rows: Rows, criteria: Criteria, min_rows: int) -> tuple[int, ...]:
    """The numbers of the groups that no criterion of ``criteria`` has the rows to compare."""
    counts = counts_of(rows)
    listed = [criteria] if isinstance(criteria, str) else list(criteria)
    counted = np.logical_or.reduce(
        [counted_groups(counts.effective_cells(c), c, min_rows) for c in listed]
    )
    return tuple(int(number) for number in np.flatnonzero(~counted))
