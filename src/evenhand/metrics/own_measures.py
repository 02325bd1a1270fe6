"""How sure a figure is that a function of one's own gives: the delta method, numerically."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.criteria import Criterion
from evenhand.metrics.intervals import UNDEFINED, Interval, normal_quantile
from evenhand.metrics.rates import Array, measured
from evenhand.metrics.widest import worst

STEP = 1e-4
"""Of its own count a cell is moved by this share."""


def own_parts(table: npt.NDArray[Any], criterion: Criterion) -> tuple[Array, Array]:
    """(..., M) the figures of a criterion of one's own, and their variances."""
    if not table.shape[-3]:
        undefined = np.full((*table.shape[:-3], 1), np.nan)
        return undefined, undefined
    return measured(table, criterion), delta_variances(table, criterion)


def delta_variances(table: npt.NDArray[Any], criterion: Criterion) -> Array:
    """(..., M) variances by the delta method on cells, each an independent Poisson count.

    The variance is sum over cells of n (df / dn)^2, at counts with a row for each label of a group
    spread over its decisions, so that a rate of 0 is not taken for certain. At a kink, such as that
    of an absolute value at 0, the steeper side counts.
    """
    counts = smoothed(table)
    figures = measured(counts, criterion)
    variance = np.zeros_like(figures)
    for cell in np.ndindex(table.shape[-3:]):
        rows = counts[(..., *cell)]
        moved = np.zeros_like(counts)
        moved[(..., *cell)] = STEP * rows
        ahead, behind = (
            np.abs(measured(counts + sign * moved, criterion) - figures) for sign in (1, -1)
        )
        steepest = np.fmax(ahead, behind) / STEP
        variance += np.divide(
            steepest**2, rows[..., None], out=np.zeros_like(steepest), where=rows[..., None] > 0
        )
    return np.where(np.isnan(figures), np.nan, variance)


def smoothed(table: npt.NDArray[Any]) -> Array:
    """The counts, a row for each decision spread over those of a group and label, which keep n."""
    counts = np.asarray(table, dtype=np.float64)
    cells = counts.sum(axis=-1, keepdims=True)
    return (counts + 1) * cells / (cells + counts.shape[-1])


def own_interval(table: npt.NDArray[Any], criterion: Criterion, level: float) -> Interval:
    """The figure with its interval: of each part its estimate and standard errors, the worst."""
    values, variances = own_parts(table, criterion)
    estimate = float(worst(values, criterion))
    if np.isnan(estimate):
        return UNDEFINED
    margin = normal_quantile(level) * np.sqrt(variances)
    low, high = (float(worst(values + sign * margin, criterion)) for sign in (-1, 1))
    return Interval(estimate, max(low, 0.0), min(high, criterion.highest))
