"""Upper bounds of gaps, and the noise below which none can be promised."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, norm

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.metrics.rates import Array, criterion_rates

SMALL_CELL = 500
ROWS_PER_FEATURE = 100


def critical_value(confidence: float, cells: npt.NDArray[Any], rows: int, features: int) -> float:
    """How many standard errors a bound stands above its estimate.

    The one-sided normal quantile (1.28 at .90); the two-sided one (1.645) where a cell that counts
    has fewer than 500 rows, or the rows are fewer than 100 a feature, since selecting among many
    candidates then costs more than the plain quantile covers.

    Args:
        confidence: in (.5, 1).
        cells: rows of each cell the criteria compare.
        rows: how many there are in all.
        features: what the head reads, d.

    Raises:
        InputError: the confidence is not in (.5, 1).

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> round(eh.metrics.critical_value(0.9, table.sum(axis=-1), 400, 4), 3)
        1.645
    """
    if not 0.5 < confidence < 1:
        raise InputError(f"confidence must lie in (0.5, 1), found {confidence}")
    present = cells[cells > 0]
    small = present.size and present.min() < SMALL_CELL
    short = rows < ROWS_PER_FEATURE * features
    return float(norm.ppf((1 + confidence) / 2 if small or short else confidence))


def upper_bound(table: npt.NDArray[Any], criterion: str | Criterion, z: float) -> Array:
    """(...,) upper confidence bound of the largest gap of (..., G, K, K) tables.

    For a pair of groups, sum of |difference of rates| + z sqrt(sum of p (1 - p) / n) with
    p = (k + 1) / (n + 2); the largest over pairs and classes. NaN where no pair is defined.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> round(float(eh.metrics.upper_bound(table, "demographic_parity", 1.645)), 2)
        0.23
    """
    differences, variances = _pairs(table, criterion)
    uppers = np.abs(differences).sum(axis=-3) + z * np.sqrt(variances.sum(axis=-3))
    highest = np.max(np.where(np.isnan(uppers), -np.inf, uppers), axis=(-2, -1), initial=-np.inf)
    return np.where(np.isneginf(highest), np.nan, highest)


def may_be_noise(table: npt.NDArray[Any], criterion: str | Criterion, level: float = 0.95) -> bool:
    """Whether differences like these are likely by chance where all groups' rates are equal.

    A chi-square test of each pair's differences together, at ``level`` over all pairs and classes.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.may_be_noise(table, "demographic_parity")
        False
    """
    differences, variances = _pairs(table, criterion)
    statistic = (differences**2 / variances).sum(axis=-3)
    tests = max(1, int((~np.isnan(statistic)).sum()))
    limit = chi2.ppf(1 - (1 - level) / tests, df=differences.shape[-3])
    return bool(np.nanmax(statistic, initial=0) <= limit)


def noise_floor(table: npt.NDArray[Any], criterion: str | Criterion, z: float) -> float:
    """The upper bound that decisions like these would have if their true gap were 0.

    No bound below it can be promised on so many rows, whatever the method.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> round(eh.metrics.noise_floor(table, "demographic_parity", 1.645), 2)
        0.08
    """
    _, variances = _pairs(table, criterion)
    return float(z * np.nanmax(np.sqrt(variances.sum(axis=-3)), initial=0))


def _pairs(table: npt.NDArray[Any], criterion: str | Criterion) -> tuple[Array, Array]:
    """(..., R, P, C) differences of the rates of the P pairs of groups, and their variances."""
    rates = criterion_rates(table, criterion)
    rows = _rate_rows(table, Criterion.parse(criterion), rates.shape)
    smooth = (np.nan_to_num(rates) * rows + 1) / (rows + 2)
    variance = np.where(rows > 0, smooth * (1 - smooth) / np.maximum(rows, 1), np.nan)
    one, other = np.triu_indices(table.shape[-3], k=1)
    return (
        rates[..., one, :] - rates[..., other, :],
        variance[..., one, :] + variance[..., other, :],
    )


def _rate_rows(table: npt.NDArray[Any], criterion: Criterion, shape: tuple[int, ...]) -> Array:
    """(..., R, G, C) how many rows each rate of ``criterion_rates`` is a share of."""
    cells = table.sum(axis=-1).astype(np.float64)
    group = cells.sum(axis=-1, keepdims=True)
    if criterion is Criterion.DEMOGRAPHIC_PARITY:
        rows = np.broadcast_to(group, cells.shape)[..., None, :, :]
    elif criterion is Criterion.EQUAL_OPPORTUNITY:
        rows = cells[..., None, :, :]
    else:
        rows = np.stack([cells, group - cells], axis=-3)
    return np.broadcast_to(rows[..., -shape[-1] :], shape)
