"""The test of the largest gap of many: what it would be seen to be, if it were another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evenhand._base.arrays import Table
from evenhand.criteria import Criterion
from evenhand.metrics.estimates import smooth_rates
from evenhand.metrics.intervals import resampled
from evenhand.metrics.rates import Array, criterion_rates

PValue = Callable[[Array], Array]
"""(T,) gaps to the (T,) p-values of the tests that they are the true gap."""


def largest(table: Table, criterion: Criterion, seed: int, replicates: int) -> PValue:
    """The test of the largest gap over pairs of groups and classes."""
    values = views(table, criterion)
    observed = float(span(values))
    noise = views(resampled(table, replicates, seed, smooth=1.0), criterion)
    noise = noise - mean(noise, 0)
    weight = 1 / np.maximum(mean(noise**2, 0)[0], 1e-12)
    if observed > 0:
        apart = values / observed
    else:  # a gap there may be after all is that of the group one is least sure of
        apart = np.where(np.isnan(values), np.nan, 0.0)
        if not np.isnan(weight).all():  # as it is where no group has a whole row to draw
            apart[np.unravel_index(np.nanargmin(weight), weight.shape)] = 1.0

    ranged = _Ranges(noise)

    def of_largest(gaps: Array) -> Array:
        widths, p = gaps[:, None, None], np.empty(len(gaps))
        places = np.where(widths < observed, squeezed(values, weight, widths), apart * widths)
        for i, true in enumerate(gaps):
            drawn = ranged.about(places[i])
            p[i] = (np.abs(drawn - true) >= abs(observed - true)).mean()
        return p

    return of_largest


class _Ranges:
    """The largest ranges over groups of drawn noise about some places: ``span(places + noise)``.

    Args:
        noise: (B, M, G).
    """

    def __init__(self, noise: Array) -> None:
        self._noise = np.ascontiguousarray(noise.transpose(1, 2, 0))  # ranges are along long rows
        self._whole = not np.isnan(noise).any()

    def about(self, places: Array) -> Array:
        """(B,) of (M, G) places."""
        drawn = places[..., None] + self._noise
        if not self._whole or np.isnan(places).any():
            return span(drawn.transpose(2, 0, 1))
        ranges: Array = (drawn.max(axis=1) - drawn.min(axis=1)).max(axis=0)
        return ranges


def mean(values: Array, axis: int) -> Array:
    """The mean along an axis, which is kept, of what is defined."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0).sum(axis=axis, keepdims=True)
    rows = defined.sum(axis=axis, keepdims=True)
    return np.divide(total, rows, out=np.full(total.shape, np.nan), where=rows > 0)


def squeezed(values: Array, weight: Array, width: float | Array) -> Array:
    """(M, G) values moved as little as it takes for each row to span at most ``width``.

    Of (T, 1, 1) widths, (T, M, G): the values moved for each.

    Values within one standard error of an end are put there: groups that share the extreme make
    the largest gap look larger than it is, and the estimates hide that they share it.
    """
    weight = np.where(np.isnan(values), 0, weight)
    filled = np.nan_to_num(np.where(np.isnan(values), mean(values, 1), values))
    low = filled.min(axis=-1, keepdims=True)
    high = np.maximum(filled.max(axis=-1, keepdims=True) - width, low)
    for _ in range(25):
        start = (low + high) / 2
        below = (weight * np.maximum(start - filled, 0)).sum(axis=-1, keepdims=True)
        above = (weight * np.maximum(filled - start - width, 0)).sum(axis=-1, keepdims=True)
        low, high = np.where(below < above, start, low), np.where(below < above, high, start)
    squeezed = np.clip(filled, start, start + width)
    end = np.where(squeezed - start < width / 2, start, start + width)
    near = weight * (squeezed - end) ** 2 < 1
    squeezed = np.where(near, end, squeezed)
    return np.where(np.isnan(values), np.nan, squeezed)


def views(table: Table, criterion: Criterion) -> Array:
    """(..., M, G) numbers whose largest range over the groups is the gap.

    |a| + |b| is the larger of |a + b| and |a - b|: equalized odds is the range of TPR + FPR or of
    TPR - FPR. A ratio is a range of logarithms, of rates a little off 0.
    """
    if criterion.comparison.across == "ratio":
        return np.log(smooth_rates(table, criterion)).swapaxes(-1, -2)[..., 0, :, :]
    rates = np.moveaxis(criterion_rates(table, criterion), -1, -2)
    if rates.shape[-3] == 1:
        return rates[..., 0, :, :]
    first, second = rates[..., 0, :, :], rates[..., 1, :, :]
    if criterion.comparison.combined == "max":
        return np.concatenate([first, second], axis=-2)
    scale = 1 if criterion.comparison.combined == "sum" else 2
    return np.concatenate([first + second, first - second], axis=-2) / scale


def span(values: Array) -> Array:
    """(...) the largest range over groups of (..., M, G) numbers, undefined ones aside."""
    high = np.where(np.isnan(values), -np.inf, values).max(axis=-1)
    low = np.where(np.isnan(values), np.inf, values).min(axis=-1)
    largest: Array = (high - low).max(axis=-1)
    return largest
