"""Heads on several parts of the same rows, for several ridges and strengths, in passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenhand._base.arrays import FloatArray
from evenhand.heads.head_fit import (
    DOUBLE_WIDTH,
    LOW_RANK_TOLERANCE,
    TOLERANCE,
    HeadFit,
    are_many,
    check_classes,
)
from evenhand.heads.parametrization import Dense, LowRank
from evenhand.heads.spec import DEFAULT_CONTROL, FitControl, HeadSpec
from evenhand.heads.streaming.atomic_cells import Parts
from evenhand.heads.streaming.driver import fit_in_passes
from evenhand.heads.streaming.fit_requests import FitRequest
from evenhand.heads.streaming.placing import engine_for
from evenhand.heads.streaming.row_arrays import RowArrays
from evenhand.heads.streaming.stream import Stream
from evenhand.rows import Rows

PASS_TOLERANCE = 3e-5
"""The same in passes, whose float32 products are summed in float64, chunk by chunk."""


def fit_parts(
    rows: Rows,
    parts: Parts,
    requests: Sequence[FitRequest],
    spec: HeadSpec,
    *,
    ridges: Sequence[float] | None = None,
    weights: np.ndarray | None = None,
    control: FitControl = DEFAULT_CONTROL,
) -> list[HeadFit]:
    """Fit heads on several parts of the same rows, for several ridges and strengths, in passes.

    Args:
        rows: this process's.
        parts: which rows count for each fit, and what is to be even there.
        requests: the heads; those of one ridge in ascending strength.
        spec: what is fitted; never an adapter.
        ridges: those that the requests number; the spec's own by default.
        weights: as for :func:`~evenhand.heads.fit.fit_path`.
        control: where to begin, when to stop.

    Raises:
        InputError: no rows, one class only, or features that are not finite.
    """  # noqa: DOC502
    check_classes(rows)
    ridges = (spec.require_ridge(),) if ridges is None else ridges
    classes, width = len(rows.classes), rows.features.shape[1]
    many = rows.world.any(are_many(rows.features))
    exact = width <= DOUBLE_WIDTH and (not many or rows.features.dtype == np.float64)
    arrays = RowArrays(
        rows.features,
        rows.labels,
        parts.atoms,
        parts.number,
        np.dtype(np.float64 if exact else np.float32),
        parts.folds,
        weights,
        None if rows.weights is None else rows.weights.values,
    )
    engine, where = engine_for(rows, arrays)
    stream = Stream(engine, classes, rows.world)

    def make(sample: FloatArray, which: int) -> Dense | LowRank:
        more: dict[str, Any] = {"intercept": spec.intercept, "anchor": spec.anchor}
        more["product"] = engine.product
        if spec.rank is None:
            return Dense(sample, classes, ridges[which], **more)
        return LowRank(sample, classes, ridges[which], spec.rank, **more)

    tolerance = TOLERANCE[np.dtype(np.float64)] if exact else PASS_TOLERANCE
    if spec.rank is not None and classes > 2:
        tolerance = max(tolerance, LOW_RANK_TOLERANCE)
    outcomes = fit_in_passes(stream, parts.parts, requests, make, tolerance, control)
    return [
        HeadFit(
            outcome.head,
            request.strength,
            outcome.minimum.value,
            outcome.minimum.evaluations,
            outcome.minimum.converged(tolerance),
            passes=stream.passes,
            where=where,
        )
        for request, outcome in zip(requests, outcomes, strict=True)
    ]
