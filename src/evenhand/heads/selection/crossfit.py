"""Candidates with cross-fitted counts: every head of the path, judged on rows kept from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evenhand._base.arrays import FloatArray
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.candidates import (
    DEFAULT_GRID,
    CandidateGrid,
    Candidates,
    Criteria,
    count_differing,
    count_offsets,
    family_name,
)
from evenhand.heads.selection.parts import fit_parts_of
from evenhand.heads.selection.ridge import log_loss
from evenhand.heads.selection.rule import MIN_ROWS
from evenhand.heads.spec import DEFAULT_CONTROL, FitControl, HeadSpec
from evenhand.metrics.bounds import counted_groups
from evenhand.metrics.counts import Counts
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
    """
    strengths = grid.strengths
    offsets = grid.offsets if len(rows.classes) == 2 and spec.intercept else (0.0,)
    g, k = rows.groups.number, len(rows.classes)
    counts = np.zeros((len(strengths), len(offsets), g + 1, k, k), dtype=np.int64)
    losses = np.zeros(len(strengths))
    differing = np.zeros((len(strengths), len(offsets), len(offsets), k), dtype=np.int64)
    spec = replace(spec, left_out=_too_small(rows, criteria, min_rows))

    def judge(fits: Sequence[HeadFit], judged: Rows) -> None:
        plain: FloatArray | None = None
        for index, fit in enumerate(fits):
            logits = fit.logits(judged.features)
            plain = logits if plain is None else plain
            differing[index] += count_differing(logits, plain, judged.labels, offsets)
            counts[index] += count_offsets(logits, judged, offsets)
            losses[index] += log_loss(logits, judged.labels) * len(judged)

    refitted: Sequence[HeadFit] = ()
    for fits, judged in fit_parts_of(
        rows,
        spec,
        criteria,
        ridges=(spec.require_ridge(),),
        strengths=strengths,
        refit=True,
        control=control,
    ):
        if judged is None:
            refitted = fits
        else:
            judge(fits, judged)
    counts, losses, differing = (rows.world.sum(each) for each in (counts, losses, differing))
    return Candidates(
        strengths,
        offsets,
        counts[:, :, :g],
        counts[:, :, g],
        tuple(refitted),
        criteria,
        family_name(spec),
        losses / int(counts[0, 0].sum()),
        differing,
    )


def _too_small(rows: Rows, criteria: Criteria, min_rows: int) -> tuple[int, ...]:
    """The numbers of the groups that no criterion of ``criteria`` has the rows to compare."""
    counts = rows.world.merge(Counts.of(rows.labels, rows.labels, rows.groups, rows.classes))
    listed = [criteria] if isinstance(criteria, str) else list(criteria)
    counted = np.logical_or.reduce(
        [counted_groups(counts.cells, criterion, min_rows) for criterion in listed]
    )
    return tuple(int(number) for number in np.flatnonzero(~counted))
