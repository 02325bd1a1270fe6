"""Heads on several parts of the same rows, for several ridges and strengths, in passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from evenhand._base.distributed import ALONE, World
from evenhand.head import Head
from evenhand.heads.head_fit import (
    DOUBLE_WIDTH,
    LARGEST,
    LOW_RANK_TOLERANCE,
    MAX_EVALUATIONS,
    TOLERANCE,
    HeadFit,
    check_classes,
    wants_passes,
)
from evenhand.heads.parametrization import Dense, LowRank
from evenhand.heads.streaming.atomic_cells import Part
from evenhand.heads.streaming.driver import fit_in_passes
from evenhand.heads.streaming.fit_requests import Wanted
from evenhand.heads.streaming.stream import Stream
from evenhand.rows import Rows

PASS_TOLERANCE = 3e-5
"""The same in passes, whose float32 products are summed in float64, chunk by chunk."""


def fit_parts(
    rows: Rows,
    parts: Sequence[Part],
    wanted: Sequence[Wanted],
    atoms: npt.NDArray[Any],
    number: int,
    *,
    ridges: Sequence[float],
    folds: npt.NDArray[Any] | None = None,
    start: Head | None = None,
    rank: int | None = None,
    weights: np.ndarray | None = None,
    intercept: bool = True,
    max_evaluations: int = MAX_EVALUATIONS,
    on_fit: Callable[[], None] | None = None,
    world: World = ALONE,
) -> list[HeadFit]:
    """Fit heads on several parts of the same rows, for several ridges and strengths, in passes.

    Args:
        rows: this process's.
        parts: which rows count, and their penalties; the first leaves none out.
        wanted: the heads; those of one ridge in ascending strength.
        atoms: (N,) the atomic cell of each row, of ``number``; see :mod:`evenhand.heads.streaming`.
        ridges: those that ``wanted`` counts.
        folds: (N,) the fold that holds each row.
        start, rank, weights, intercept, max_evaluations, on_fit, world: as for :func:`fit_path`.
    """
    check_classes(rows, world)
    classes, width = len(rows.classes), rows.features.shape[1]
    many = world.any(wants_passes(rows.features))
    exact = width <= DOUBLE_WIDTH and (not many or rows.features.dtype == np.float64)
    stream = Stream(
        rows.features,
        rows.labels,
        classes,
        atoms=atoms,
        number=number,
        folds=folds,
        weights=weights,
        dtype=np.float64 if exact else np.float32,
        world=world,
        largest=LARGEST[torch.float64 if exact else torch.float32],
    )

    def make(sample: torch.Tensor, which: int) -> Dense | LowRank:
        if rank is None:
            return Dense(sample, classes, ridges[which], intercept=intercept)
        return LowRank(sample, classes, ridges[which], rank, intercept=intercept)

    tolerance = TOLERANCE[torch.float64] if exact else PASS_TOLERANCE
    if rank is not None and classes > 2:
        tolerance = max(tolerance, LOW_RANK_TOLERANCE)
    found = fit_in_passes(
        stream,
        parts,
        wanted,
        make,
        start,
        tolerance=tolerance,
        max_evaluations=max_evaluations,
        on_fit=on_fit,
    )
    return [
        HeadFit(
            one.head,
            asked.strength,
            one.minimum.value,
            one.minimum.evaluations,
            one.minimum.converged(tolerance),
            passes=stream.passes,
        )
        for asked, one in zip(wanted, found, strict=True)
    ]
