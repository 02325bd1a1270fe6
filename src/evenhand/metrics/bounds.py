"""Upper bounds of gaps, and the noise below which none can be promised."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.metrics.estimates import pairs, parts, rate_rows
from evenhand.metrics.normal import normal_inverse
from evenhand.metrics.rates import Array
from evenhand.metrics.widest import worst

ROWS_PER_FEATURE = 100


SMALL_CELL = 500


def critical_value(
    confidence: float, rows: int, features: int, smallest: int | None = None
) -> float:
    """How many standard errors a bound stands above its estimate.

    The one-sided normal quantile (1.28 at .90); the two-sided one (1.645) where the rows are fewer
    than 100 a feature, since selecting among many candidates then costs more than the plain
    quantile covers. Where held-out decisions are known row by row, the value can be found by
    choosing again on resampled rows: :mod:`evenhand.heads.selection.resampling`.

    Args:
        confidence: in (.5, 1).
        rows: how many there are in all.
        features: what the head reads, d.
        smallest: the rows of the smallest rate compared, where fewer than 500 are to be short too,
            as in the first version's rule, which refuses much that would hold.

    Raises:
        InputError: the confidence is not in (.5, 1).

    Example:
        >>> round(eh.metrics.critical_value(0.9, rows=300, features=4), 3)
        1.645
    """
    if not 0.5 < confidence < 1:
        raise InputError(f"confidence must lie in (0.5, 1), found {confidence}")
    short = rows < ROWS_PER_FEATURE * features or (smallest is not None and smallest < SMALL_CELL)
    return normal_inverse((1 + confidence) / 2 if short else confidence)


def upper_bound(
    table: npt.NDArray[Any], criterion: str | Criterion, z: float, min_rows: int = 1
) -> Array:
    """(...,) the confidence bound of a criterion's figure: upper of a gap, lower of a level.

    For a pair of groups, sum of |difference of rates| + z sqrt(sum of p (1 - p) / n) with
    p = (k + 1) / (n + 2); the largest over pairs and classes, and likewise of what other criteria
    compare. Being the worst of bounds each of which holds, it holds without a correction for their
    number. NaN where no pair is defined. A rate of fewer than ``min_rows`` rows is not compared.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> round(float(eh.metrics.upper_bound(table, "demographic_parity", 1.645)), 2)
        0.23
        >>> round(float(eh.metrics.upper_bound(table, "worst_group_accuracy", 1.645)), 2)
        0.7
    """
    criterion = Criterion.parse(criterion)
    values, variances = parts(table, criterion, min_rows)
    if criterion.kind == "gap":
        return worst(values + z * np.sqrt(variances), criterion)
    return np.maximum(worst(values - z * np.sqrt(variances), criterion), 0)


def highest_z(
    table: npt.NDArray[Any], criterion: str | Criterion, limit: float, min_rows: int = 1
) -> Array:
    """(...,) the critical value up to which a criterion's confidence bound keeps to ``limit``.

    Minus infinity where the criterion's figure is not defined.
    """
    criterion = Criterion.parse(criterion)
    values, variances = parts(table, criterion, min_rows)
    room = limit - values if criterion.kind == "gap" else values - limit
    with np.errstate(divide="ignore", invalid="ignore"):
        highest = room / np.sqrt(variances)
    lowest = np.min(np.where(np.isnan(highest), np.inf, highest), axis=-1, initial=np.inf)
    return np.where(np.isnan(worst(values, criterion)), -np.inf, lowest)


def shortfall(figures: npt.ArrayLike, criterion: Criterion) -> Array:
    """How far figures are from the best there is: a gap itself, what a level lacks.

    The lower the better for every criterion, so that candidates compare in one way.
    """
    figures = np.asarray(figures, dtype=np.float64)
    return figures if criterion.kind == "gap" else criterion.highest - figures


def may_be_noise(
    table: npt.NDArray[Any], criterion: str | Criterion, level: float = 0.95, min_rows: int = 1
) -> bool:
    """Whether differences like these are likely by chance where all groups' rates are equal.

    A chi-square test of each pair's differences together, at ``level`` over all pairs and classes.
    Of a criterion that looks at the worst group alone, equal rates are no aim: it is False.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.may_be_noise(table, "demographic_parity")
        False
    """
    from scipy.special import chdtri

    if not Criterion.parse(criterion).evens:
        return False
    differences, variances = pairs(table, criterion, min_rows)
    statistic = (differences**2 / variances).sum(axis=-3)
    tests = max(1, int((~np.isnan(statistic)).sum()))
    limit = chdtri(differences.shape[-3], (1 - level) / tests)
    return bool(np.nanmax(statistic, initial=0) <= limit)


def noise_floor(
    table: npt.NDArray[Any], criterion: str | Criterion, z: float, min_rows: int = 1
) -> float:
    """The bound that decisions like these would have if all groups' rates were equal.

    A model that decides about as often as these cannot be promised a smaller gap (a higher ratio)
    on so many rows; one that decides less often can. NaN where equal rates are no aim.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> round(eh.metrics.noise_floor(table, "demographic_parity", 1.645), 2)
        0.08
    """
    criterion = Criterion.parse(criterion)
    if not criterion.evens:
        return float("nan")
    error = float(np.sqrt(np.nanmax(parts(table, criterion, min_rows).variances, initial=0)))
    return z * error if criterion.kind == "gap" else max(criterion.highest - z * error, 0.0)


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
