"""The worst of some figures, and the widest gap of groups too many to compare every two of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.criteria import Criterion

Array = npt.NDArray[np.floating[Any]]

MANY = 100
"""Groups from which on the widest gap is found without their pairs."""


def widest(rates: Array, combined: str) -> Array:
    """(...) the largest gap over pairs of groups and classes; NaN where no pair is defined.

    Of one rate it is the range. |a| + |b| is the larger of |a + b| and |a - b|, so that of two
    rates it is the range of their sum or of their difference.

    Args:
        rates: (..., R, G, C), of one or two rates R; NaN where a rate has no rows.
        combined: what the differences of two rates come to: their ``sum``, ``mean`` or ``max``.
    """
    defined = ~np.isnan(rates).any(axis=-3)
    first, second = rates[..., 0, :, :], rates[..., -1, :, :]
    if rates.shape[-3] == 1 or combined == "max":
        views = np.stack([first, second])
    else:
        views = np.stack([first + second, first - second]) / (2 if combined == "mean" else 1)
    high = np.where(defined, views, -np.inf).max(axis=-2)
    low = np.where(defined, views, np.inf).min(axis=-2)
    spread = np.where(defined.sum(axis=-2) > 1, high - low, -np.inf).max(axis=(0, -1))
    return np.where(np.isneginf(spread), np.nan, spread)


def worst(values: Array, criterion: Criterion) -> Array:
    """(...,) the worst of (..., M) figures: the largest of gaps, the smallest of levels."""
    sign = 1 if criterion.kind == "gap" else -1
    highest = np.max(np.where(np.isnan(values), -np.inf, sign * values), axis=-1, initial=-np.inf)
    return np.where(np.isneginf(highest), np.nan, sign * highest)
