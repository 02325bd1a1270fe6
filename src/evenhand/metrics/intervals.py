"""How sure one can be of a rate, an error or a gap, given only the counts.

A gap is an absolute value, so an interval built around it never reaches 0. Here every interval of
a gap is the set of true gaps a test of the *signed* differences does not reject: it holds 0 where
the data do not contradict 0, and covers the truth as often as it says, true gaps of 0 included.
The approximations are normal; where cells hold fewer than about 100 rows they cover less well.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Table
from evenhand.errors import InputError
from evenhand.metrics.counts import Counts
from evenhand.metrics.normal import normal_inverse
from evenhand.metrics.rates import Array, ErrorMetric, error_metric


class Interval(NamedTuple):
    """An estimate and the bounds of its interval; NaN where it is undefined.

    Example:
        >>> eh.metrics.Interval(0.10, 0.07, 0.13).high
        0.13
    """

    estimate: float
    low: float
    high: float


MOST_ROWS = 1e15
LEAST_LEVEL = 1e-6
"""Below it an interval has no width to divide by."""


ROUNDING = 1e-9
"""Expected counts may be this much below 0 or above the rows they are counted in."""


UNDEFINED = Interval(np.nan, np.nan, np.nan)


def rate_interval(
    hits: npt.ArrayLike, rows: npt.ArrayLike, level: float = 0.95
) -> tuple[Array, Array]:
    """Wilson's interval of ``hits / rows``, for arrays of any one shape.

    Args:
        hits: how many rows are counted; floats where decisions are randomised.
        rows: out of how many.
        level: the share of uses in which the interval is to hold the true rate.

    Returns:
        The low and the high ends; NaN where there are no rows.

    Raises:
        InputError: a level outside (0, 1), or hits that are not between 0 and the rows.

    Example:
        >>> low, high = eh.metrics.rate_interval(8, 10)
        >>> round(float(low), 2), round(float(high), 2)
        (0.49, 0.94)
    """
    z = normal_quantile(level)
    k, n = np.broadcast_arrays(np.asarray(hits, np.float64), np.asarray(rows, np.float64))
    wrong = ~((k >= -ROUNDING) & (k <= n * (1 + ROUNDING) + ROUNDING) & np.isfinite(n))
    if wrong.any():
        at = np.flatnonzero(wrong.ravel())[0]
        raise InputError(f"{k.ravel()[at]:g} of {n.ravel()[at]:g} rows is no rate")
    n = np.where(n > 0, n, np.nan)
    rate = np.clip(k / n, 0, 1)
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return np.clip(centre - half, 0, rate), np.clip(centre + half, rate, 1)


def ratio_interval(
    hits: npt.ArrayLike, rows: npt.ArrayLike, over: tuple[float, float], level: float = 0.95
) -> tuple[Array, Array]:
    """An interval of ``hits / rows`` over another rate, from Wilson's intervals of the two.

    The method of variance estimates recovery for a ratio (Donner and Zou, Stat Methods Med Res 21,
    2012), as Newcombe's is for a difference.

    Args:
        hits: (n,) how many rows are counted.
        rows: (n,) out of how many.
        over: the hits and the rows of the other rate, of other rows.
        level: the share of uses in which the interval is to hold the true ratio.

    Returns:
        The low and the high ends; NaN where a rate has no rows, an infinite high end where the
        other rate may be 0.

    Raises:
        InputError: a level outside (0, 1), or hits that are not between 0 and the rows.

    Example:
        >>> low, high = eh.metrics.ratio_interval(40, 100, over=(60, 100))
        >>> round(float(low), 2), round(float(high), 2)
        (0.5, 0.88)
    """  # noqa: DOC502
    k, n = (np.asarray(part, np.float64) for part in (hits, rows))
    below, above = rate_interval(k, n, level)
    base_below, base_above = (float(end) for end in rate_interval(*over, level))
    with np.errstate(invalid="ignore", divide="ignore"):
        rate, base = k / n, over[0] / over[1] if over[1] else np.nan
        product = rate * base

        def end(own: Array, other: float, sign: float) -> Array:
            spread = own * (2 * rate - own) * other * (2 * base - other)
            root = np.sqrt(np.maximum(product**2 - spread, 0))
            return (product + sign * root) / (other * (2 * base - other))

        low, high = end(below, base_above, -1), end(above, base_below, 1)
    known = ~np.isnan(product)
    low = np.where(known, np.fmax(low, 0), np.nan)
    return low, np.where(known & (base_below <= 0), np.inf, high)


def difference_interval(
    one: tuple[float, float], other: tuple[float, float], level: float = 0.95
) -> tuple[float, float]:
    """Newcombe's interval of the difference of two rates, from Wilson's intervals of the two.

    Newcombe, Stat Med 17, 1998, method 10.

    Args:
        one: the hits and the rows of the first rate.
        other: those of the rate that is taken from it, of other rows.
        level: the share of uses in which the interval is to hold the true difference.

    Returns:
        The low and the high end; NaN where a rate has no rows.

    Raises:
        InputError: a level outside (0, 1), or hits that are not between 0 and the rows.

    Example:
        >>> from evenhand.metrics.intervals import difference_interval
        >>> low, high = difference_interval((56, 70), (48, 80))
        >>> round(low, 4), round(high, 4)
        (0.0524, 0.3339)
    """  # noqa: DOC502
    if not (one[1] > 0 and other[1] > 0):
        return np.nan, np.nan
    rate, base = one[0] / one[1], other[0] / other[1]
    below, above = (float(end) for end in rate_interval(*one, level))
    base_below, base_above = (float(end) for end in rate_interval(*other, level))
    low = rate - base - np.hypot(rate - below, base_above - base)
    high = rate - base + np.hypot(above - rate, base - base_below)
    return float(low), float(high)


def error_interval(
    counts: Counts | Table,
    metric: str | ErrorMetric = "f1",
    *,
    level: float = 0.95,
    seed: int = 0,
    replicates: int = 2000,
) -> Interval:
    """The error in %, with a bootstrap interval drawn by resampling the cells of the counts.

    Args:
        counts: Counts, or a (K, K) or (G, K, K) table.
        metric: ``"f1"`` (the paper's Err), ``"accuracy"``, ``"balanced"``, or a function of
            (..., K, K) confusion matrices; see ``evenhand.metrics.rates.ERRORS``.
        level, seed, replicates: of the interval.

    Raises:
        InputError: an unknown metric, another shape, a count that is negative or not finite, a
            level outside (0, 1), or no replicates.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])
        >>> round(eh.metrics.error_interval(table, "accuracy").estimate, 1)
        22.5
    """  # noqa: DOC502
    measure = error_metric(metric)
    normal_quantile(level)
    check_replicates(replicates)
    if isinstance(counts, Counts) and not counts.labelled:
        return UNDEFINED
    confusion = counts.effective_total if isinstance(counts, Counts) else np.asarray(counts)
    if confusion.ndim == 3:
        confusion = confusion.sum(axis=0)
    confusion = counted(confusion, "(K, K) or (G, K, K)", 2)
    if not confusion.any():
        return UNDEFINED
    if round(float(confusion.sum())) < 1:
        return Interval(float(measure(confusion)), np.nan, np.nan)
    drawn = measure(resampled(confusion[None], replicates, seed)[:, 0])
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(measure(confusion)), float(low), float(high))


def counted(counts: Any, shape: str, axes: int) -> Array:
    """``counts`` as a table of float64, after checking it.

    Raises:
        InputError: the shape is another, or a count is negative or not finite.
    """
    table = np.asarray(counts, np.float64)
    if table.ndim != axes or table.shape[-1] != table.shape[-2]:
        raise InputError(f"a count table has shape {shape}, found {table.shape}")
    bad = ~((table >= -ROUNDING) & (table <= MOST_ROWS))
    if bad.any():
        raise InputError(
            f"{int(bad.sum())} counts of a table are negative, not finite or above {MOST_ROWS:.0e}"
        )
    return np.maximum(table, 0)


def check_replicates(replicates: int) -> None:
    """Refuse to simulate an interval from fewer than one replicate.

    Raises:
        InputError: fewer than one replicate.
    """
    if replicates < 1:
        raise InputError(f"an interval needs 1 replicate at least, found {replicates}")


def normal_quantile(level: float) -> float:
    """The two-sided normal quantile of ``level``.

    Raises:
        InputError: a level outside (0, 1).
    """
    if not LEAST_LEVEL <= level < 1:
        raise InputError(f"the level of an interval lies between 0 and 1, found {level}")
    return normal_inverse((1 + level) / 2)


def resampled(table: Table, replicates: int, seed: int, smooth: float = 0.0) -> Array:
    """(B, G, K, K) tables drawn like ``table``, the rows of each group kept in number.

    ``smooth`` spreads that many rows over the cells that share a group and a label, so that a
    rate of 0 or 1 is not taken for certain.
    """
    held = np.ascontiguousarray(table, dtype=np.float64)
    return _resampled(held.tobytes(), held.shape, replicates, seed, smooth)


@lru_cache(maxsize=1)
def _resampled(
    held: bytes, shape: tuple[int, ...], replicates: int, seed: int, smooth: float
) -> Array:
    """The tables drawn last, remembered: one criterion after the other asks for them."""
    rng = np.random.default_rng(seed)
    shares = np.frombuffer(held).reshape(shape)
    cells = shares.sum(axis=-1, keepdims=True)
    if smooth:
        shares = shares + smooth
        shares = shares * cells / shares.sum(axis=-1, keepdims=True)
    groups = []
    for group in shares:
        rows = group.sum()
        drawn = rng.multinomial(round(rows), group.ravel() / rows, size=replicates)
        groups.append(drawn.reshape(replicates, *group.shape) * (rows / max(round(rows), 1)))
    tables = np.stack(groups, axis=1).astype(np.float64)
    tables.flags.writeable = False
    return tables
