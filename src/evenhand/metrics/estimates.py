"""The rates a criterion compares as estimates: how many rows they are shares of, how sure they are.

The figure of a criterion is the worst of its *parts*: the difference or ratio of two groups' rates
of a class, or the rate of one group. A part is a smooth function of the counts, so that its
standard error follows by the delta method; the worst of several is not, and needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evenhand.criteria import Criterion, Rate
from evenhand.metrics.own_measures import own_parts
from evenhand.metrics.rates import (
    RATES,
    Array,
    combined,
    criterion_rates,
    of_classes,
    true_positive_rate,
)
from evenhand.metrics.widest import worst


class Parts(NamedTuple):
    """The M figures of which a criterion's is the worst; NaN where they are not compared.

    Attributes:
        values: (..., M); the worst a part can be where a group that counts has no such decision.
        variances: (..., M) by the delta method.
    """

    values: Array
    variances: Array


ROWS: dict[Rate, Callable[[Array], Array]] = {
    "selection_rate": lambda cells: _as_many(cells.sum(axis=-1, keepdims=True), cells),
    "true_positive_rate": lambda cells: cells,
    "false_positive_rate": lambda cells: cells.sum(axis=-1, keepdims=True) - cells,
    "precision": lambda cells: _as_many(cells.sum(axis=-1, keepdims=True), cells),
    "accuracy": lambda cells: cells.sum(axis=-1, keepdims=True),
    "error_rate": lambda cells: cells.sum(axis=-1, keepdims=True),
    "balanced_error_rate": lambda cells: cells.min(axis=-1, keepdims=True),
}
"""(..., G, K) rows of each group with each label to those that a rate needs."""


def rate_rows(cells: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(..., R, G, C) how many rows each rate of ``criterion_rates`` needs.

    It is a share of them; the precision of those among them that are decided so, and a mean over
    the labels needs as many of each.

    Args:
        cells: (..., G, K) rows of each group with each label.
        criterion: what is compared.
    """
    how, cells = Criterion.parse(criterion).comparison, np.asarray(cells, dtype=np.float64)
    return of_classes(np.stack([ROWS[name](cells) for name in how.rates], axis=-3), how)


def rate_variances(table: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(..., R, G, C) the variance of each rate: p (1 - p) / n with p = (k + 1) / (n + 2)."""
    how = Criterion.parse(criterion).comparison
    return of_classes(np.stack([_variance(table, name) for name in how.rates], axis=-3), how)


def effective_rows(table: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(..., R, G, C) of how many rows each rate is a share, or as sure as a share is.

    They are the rows in all but a mean over the labels, whose variance is another.
    """
    criterion = Criterion.parse(criterion)
    names = criterion.comparison.rates
    shares = [_rows(table, name) for name in names if name != "balanced_error_rate"]
    if len(shares) == len(names):
        return of_classes(np.stack(shares, axis=-3), criterion.comparison)
    rates = criterion_rates(table, criterion)
    return rates * (1 - rates) / rate_variances(table, criterion)


def smooth_rates(table: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(..., R, G, C) rates with half a row for and half a row against, so that none is 0 or 1."""
    rows = effective_rows(table, criterion)
    return np.asarray((criterion_rates(table, criterion) * rows + 0.5) / (rows + 1))


def pairs(
    table: npt.NDArray[Any], criterion: str | Criterion, min_rows: int
) -> tuple[Array, Array]:
    """(..., R, P, C) differences of the rates of the P pairs of groups, and their variances.

    NaN where a rate of either needs ``min_rows`` rows and has fewer.
    """
    rates, variances = _compared(table, criterion, min_rows)
    one, other = np.triu_indices(table.shape[-3], k=1)
    return (
        rates[..., one, :] - rates[..., other, :],
        variances[..., one, :] + variances[..., other, :],
    )


def parts(table: npt.NDArray[Any], criterion: str | Criterion, min_rows: int = 1) -> Parts:
    """The parts of a criterion's figure, over the rates that have ``min_rows`` rows."""
    criterion = Criterion.parse(criterion)
    how = criterion.comparison
    if criterion.function is not None:
        counted = rate_rows(table.sum(axis=-1), criterion).min(axis=-3).max(axis=-1) >= min_rows
        kept = counted.reshape(-1, counted.shape[-1]).all(axis=0)
        return Parts(*own_parts(table[..., kept if min_rows > 1 else slice(None), :, :], criterion))
    if how.across == "worst":
        values, variances = _compared(table, criterion, min_rows)
    elif how.across == "ratio":
        values, variances = _ratios(table, criterion, min_rows)
    else:
        differences, variances = pairs(table, criterion, min_rows)
        values = np.abs(differences)
        if how.combined != "max":
            values = combined(values, criterion, -3)[..., None, :, :]
            scale = 1 if how.combined == "sum" else len(how.rates) ** 2
            variances = variances.sum(axis=-3, keepdims=True) / scale
        else:
            variances = np.where(np.isnan(variances).any(axis=-3, keepdims=True), np.nan, variances)
            values = np.where(np.isnan(variances), np.nan, values)
    unknown = np.isnan(values) & ~np.isnan(variances)
    values = np.where(unknown, criterion.highest if criterion.kind == "gap" else 0.0, values)
    lead = values.shape[:-3]
    return Parts(values.reshape(*lead, -1), variances.reshape(*lead, -1))


def standard_error(table: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(...,) the standard error of the part that is a criterion's figure, by the delta method.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> round(float(eh.metrics.standard_error(table, "worst_group_accuracy")), 3)
        0.031
    """
    criterion = Criterion.parse(criterion)
    values, variances = parts(table, criterion)
    same = values == worst(values, criterion)[..., None]
    largest = np.max(np.where(same, variances, -np.inf), axis=-1, initial=-np.inf)
    return np.sqrt(np.where(np.isneginf(largest), np.nan, largest))


def _compared(
    table: npt.NDArray[Any], criterion: str | Criterion, min_rows: int
) -> tuple[Array, Array]:
    rows = rate_rows(table.sum(axis=-1), criterion)
    enough = rows >= min_rows if min_rows > 1 else rows > 0  # weighted rows may be less than one
    rates, variances = criterion_rates(table, criterion), rate_variances(table, criterion)
    return np.where(enough, rates, np.nan), np.where(enough, variances, np.nan)


def _ratios(table: npt.NDArray[Any], criterion: Criterion, min_rows: int) -> tuple[Array, Array]:
    """(..., R, P, C) ratios of the lower to the higher rate of each pair, and their variances."""
    rates, variances = _compared(table, criterion, min_rows)
    one, other = np.triu_indices(table.shape[-3], k=1)
    swapped = rates[..., one, :] > rates[..., other, :]
    low, low_variance, high, high_variance = (
        np.where(swapped, values[..., second, :], values[..., first, :])
        for first, second in ((one, other), (other, one))
        for values in (rates, variances)
    )
    above = np.where(high > 0, high, np.nan)
    ratio = low / above
    variance = low_variance / above**2 + ratio**2 * high_variance / above**2
    return ratio, np.where(np.isnan(above), low_variance + high_variance, variance)


def _variance(table: npt.NDArray[Any], name: Rate) -> Array:
    cells = np.asarray(table.sum(axis=-1), dtype=np.float64)
    if name == "balanced_error_rate":
        each = _of_share(true_positive_rate(table), cells)
        return each.mean(axis=-1, keepdims=True) / cells.shape[-1]
    return _of_share(RATES[name](table), _rows(table, name))


def _rows(table: npt.NDArray[Any], name: Rate) -> Array:
    """(..., G, C) the rows that a rate is a share of."""
    rows = table.sum(axis=-2) if name == "precision" else ROWS[name](table.sum(axis=-1))
    return np.asarray(rows, dtype=np.float64)


def _of_share(rates: Array, rows: npt.NDArray[Any]) -> Array:
    smooth = (np.nan_to_num(rates) * rows + 1) / (rows + 2)
    return np.asarray(smooth * (1 - smooth) / np.maximum(rows, 1))


def _as_many(rows: Array, cells: Array) -> Array:
    return np.broadcast_to(rows, cells.shape)
