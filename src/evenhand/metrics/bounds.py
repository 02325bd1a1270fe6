"""Upper bounds of gaps, and the noise below which none can be promised."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri, ndtri

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.metrics.rates import Array, criterion_rates, rate_rows

ROWS_PER_FEATURE = 100


def critical_value(confidence: float, rows: int, features: int) -> float:
    """How many standard errors a bound stands above its estimate.

    The one-sided normal quantile (1.28 at .90); the two-sided one (1.645) where the rows are fewer
    than 100 a feature, since selecting among many candidates then costs more than the plain
    quantile covers.

    Args:
        confidence: in (.5, 1).
        rows: how many there are in all.
        features: what the head reads, d.

    Raises:
        InputError: the confidence is not in (.5, 1).

    Example:
        >>> round(eh.metrics.critical_value(0.9, rows=300, features=4), 3)
        1.645
    """
    if not 0.5 < confidence < 1:
        raise InputError(f"confidence must lie in (0.5, 1), found {confidence}")
    short = rows < ROWS_PER_FEATURE * features
    return float(ndtri((1 + confidence) / 2 if short else confidence))


def upper_bound(
    table: npt.NDArray[Any], criterion: str | Criterion, z: float, min_rows: int = 1
) -> Array:
    """(...,) upper confidence bound of the largest gap of (..., G, K, K) tables.

    For a pair of groups, sum of |difference of rates| + z sqrt(sum of p (1 - p) / n) with
    p = (k + 1) / (n + 2); the largest over pairs and classes. NaN where no pair is defined.
    A rate of fewer than ``min_rows`` rows is not compared.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> round(float(eh.metrics.upper_bound(table, "demographic_parity", 1.645)), 2)
        0.23
    """
    differences, variances = _pairs(table, criterion, min_rows)
    uppers = np.abs(differences).sum(axis=-3) + z * np.sqrt(variances.sum(axis=-3))
    highest = np.max(np.where(np.isnan(uppers), -np.inf, uppers), axis=(-2, -1), initial=-np.inf)
    return np.where(np.isneginf(highest), np.nan, highest)


def may_be_noise(
    table: npt.NDArray[Any], criterion: str | Criterion, level: float = 0.95, min_rows: int = 1
) -> bool:
    """Whether differences like these are likely by chance where all groups' rates are equal.

    A chi-square test of each pair's differences together, at ``level`` over all pairs and classes.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.may_be_noise(table, "demographic_parity")
        False
    """
    differences, variances = _pairs(table, criterion, min_rows)
    statistic = (differences**2 / variances).sum(axis=-3)
    tests = max(1, int((~np.isnan(statistic)).sum()))
    limit = chdtri(differences.shape[-3], (1 - level) / tests)
    return bool(np.nanmax(statistic, initial=0) <= limit)


def noise_floor(
    table: npt.NDArray[Any], criterion: str | Criterion, z: float, min_rows: int = 1
) -> float:
    """The upper bound that decisions like these would have if their true gap were 0.

    A model that decides about as often as these cannot be promised a smaller one on so many rows;
    one that decides less often can.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> round(eh.metrics.noise_floor(table, "demographic_parity", 1.645), 2)
        0.08
    """
    _, variances = _pairs(table, criterion, min_rows)
    return float(z * np.nanmax(np.sqrt(variances.sum(axis=-3)), initial=0))


def counted_groups(
    cells: npt.NDArray[Any], criterion: str | Criterion, min_rows: int
) -> npt.NDArray[np.bool_]:
    """(G,) whether each group has the rows that a comparison by ``criterion`` asks for.

    Args:
        cells: (G, K) rows of each group with each label.
        criterion: what is compared.
        min_rows: the fewest rows a rate may be a share of.
    """
    enough = rate_rows(cells, criterion) >= max(1, min_rows)
    return np.asarray(enough.all(axis=-3).any(axis=-1))


def rows_short(
    cells: npt.NDArray[Any], criterion: str | Criterion, min_rows: int
) -> npt.NDArray[np.float64]:
    """(G,) how many times its rows each group would need to be compared by ``criterion``.

    At most 1 where it has them (:func:`counted_groups`); infinite where it has none of a rate's.

    Args:
        cells: (G, K) rows of each group with each label.
        criterion: what is compared.
        min_rows: the fewest rows a rate may be a share of.
    """
    rows = rate_rows(cells, criterion)
    with np.errstate(divide="ignore"):
        times = max(1, min_rows) / rows
    return np.asarray(times.max(axis=-3).min(axis=-1), dtype=np.float64)


def compared_rows(cells: npt.NDArray[Any], criterion: str | Criterion, min_rows: int) -> int:
    """The fewest rows of any rate of (G, K) ``cells`` that is compared; 0 where none is."""
    rows = rate_rows(cells, criterion)
    enough = (rows >= max(1, min_rows)).all(axis=-3)
    with_another = enough.sum(axis=-2, keepdims=True) > 1
    smallest = rows.min(axis=-3)[np.logical_and(enough, with_another)]
    return int(smallest.min()) if smallest.size else 0


def parity_error_floor(cells: npt.NDArray[Any], limit: float) -> float:
    """The accuracy error in % that any classifier pays for a demographic-parity gap of ``limit``.

    A group whose share of a label is b errs on at least |b - r| of its rows where it is decided so
    for a share r, and all groups' r lie in one interval [a, a + limit]: the error is at least
    min over a of sum_g π_g dist(b_g, [a, a + limit]). It is convex in a and piecewise linear, so
    that one of the corners is the least. For more than two classes the largest over the classes.

    Args:
        cells: (G, K) rows of each group with each label.
        limit: of the gap, in [0, 1].
    """
    sizes = cells.sum(axis=1)
    kept = sizes > 0
    if not kept.any():
        return 0.0
    share, rates = sizes[kept] / sizes.sum(), cells[kept] / sizes[kept, None]
    corners = np.concatenate([rates, rates - limit])
    below = np.maximum(corners[:, None] - rates, 0)
    above = np.maximum(rates - corners[:, None] - limit, 0)
    return float(100 * np.einsum("g,cgk->ck", share, below + above).min(axis=0).max())


def _pairs(
    table: npt.NDArray[Any], criterion: str | Criterion, min_rows: int
) -> tuple[Array, Array]:
    """(..., R, P, C) differences of the rates of the P pairs of groups, and their variances."""
    rates = criterion_rates(table, criterion)
    rows = rate_rows(table.sum(axis=-1), criterion)
    smooth = (np.nan_to_num(rates) * rows + 1) / (rows + 2)
    enough = rows >= max(1, min_rows)
    rates = np.where(enough, rates, np.nan)
    variance = np.where(enough, smooth * (1 - smooth) / np.maximum(rows, 1), np.nan)
    one, other = np.triu_indices(table.shape[-3], k=1)
    return (
        rates[..., one, :] - rates[..., other, :],
        variance[..., one, :] + variance[..., other, :],
    )
