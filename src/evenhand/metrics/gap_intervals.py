"""Intervals of a gap: by inversion of tests where one difference decides it, else by simulation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from math import comb

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from evenhand._base.arrays import Table
from evenhand.criteria import Criterion
from evenhand.metrics.counts import Counts
from evenhand.metrics.intervals import (
    UNDEFINED,
    Interval,
    check_replicates,
    counted,
    normal_quantile,
    rate_interval,
    resampled,
)
from evenhand.metrics.rates import Array, criterion_rates, gap, rate_rows

SNAP = 0.5
"""In standard errors; chosen by simulation: coverage .94 to .96 where 0 gave .93 to .96."""


MOST_CELLS = 20_000


POINTS = 1024


def gap_interval(
    counts: Counts | Table,
    criterion: str | Criterion,
    *,
    level: float = 0.95,
    seed: int = 0,
    replicates: int = 1000,
) -> Interval:
    """The gap of a criterion, with the interval of true gaps the signed differences allow.

    Two groups and two classes: the signed differences of the rates are near normal with
    Newcombe's half-widths; ΔDP and ΔEOpp are the absolute value of one, ΔEO the sum of two
    (independent) absolute values. A true gap is kept if the distance of the differences to the
    nearest ones with that gap is not beyond the ``level`` quantile of what that distance would
    be if those were true. More groups or classes: the same for the largest gap, with the rates
    moved as little as it takes to have the gap in question, and noise from resampled cells.

    Args:
        counts: Counts, or a (G, K, K) table [group, label, prediction]; floats are allowed.
        criterion: a Criterion or its name.
        level: the share of uses in which the interval is to hold the true gap.
        seed: of the resampling; used for more than two groups or classes only.
        replicates: resamples at most, for more than two groups or classes; fewer, but at least
            a fifth of them, where there are very many cells.

    Returns:
        The gap and its interval, all NaN where no two groups can be compared; the interval alone
        is NaN beyond MOST_CELLS cells, where it would say nothing.

    Raises:
        InputError: an unknown criterion, another shape, a count that is negative or not finite, a
            level outside (0, 1), or no replicates.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])
        >>> interval = eh.metrics.gap_interval(table, "equalized_odds")
        >>> interval.low < interval.estimate < interval.high
        True
    """
    criterion = Criterion.parse(criterion)
    normal_quantile(level)
    check_replicates(replicates)
    if isinstance(counts, Counts) and criterion.by_label and not counts.labelled:
        return UNDEFINED
    table = counted(counts.table if isinstance(counts, Counts) else counts, "(G, K, K)", 3)
    return _gap_interval(table.tobytes(), table.shape, criterion, level, seed, replicates)


@lru_cache(maxsize=256)
def _gap_interval(
    cells: bytes,
    shape: tuple[int, ...],
    criterion: Criterion,
    level: float,
    seed: int,
    replicates: int,
) -> Interval:
    """The interval of one table, remembered: the views of a run ask for the same ones again."""
    table = np.frombuffer(cells).reshape(shape)
    estimate = float(gap(table, criterion))
    if np.isnan(estimate):
        return UNDEFINED
    table = table[_comparable(table, criterion)]
    if table.shape == (2, 2, 2):
        kept = _folded(_signed(table, criterion, level), level)
    elif table.size > MOST_CELLS:
        return Interval(estimate, np.nan, np.nan)
    else:
        fewer = round(4_000_000 / table.size)
        drawn = min(replicates, max(fewer, replicates // 5))
        kept = _largest(table, criterion, seed, drawn)
    low, high = _accepted(kept, estimate, criterion.highest, 1 - level)
    return Interval(estimate, low, high)


PValue = Callable[[Array], Array]
"""(T,) gaps to the (T,) p-values of the tests that they are the true gap."""


def _comparable(table: Table, criterion: Criterion) -> npt.NDArray[np.bool_]:
    """(G,) True for groups that have all the rates of at least one class."""
    missing = np.isnan(criterion_rates(table, criterion))
    return np.asarray(~np.all(np.any(missing, axis=0), axis=1))


def _signed(table: Table, criterion: Criterion, level: float) -> Array:
    """(R, 3) of two groups, two classes: |difference|, standard error inwards and outwards."""
    rate = criterion_rates(table, criterion)[..., 0]
    of = rate_rows(table.sum(axis=-1), criterion)[..., 0]
    low, high = rate_interval(rate * of, of, level)
    order = np.lexsort((of, -rate))  # equal rates by their rows: whichever group is first
    rate, low, high = (np.take_along_axis(part, order, axis=1) for part in (rate, low, high))
    inwards = np.hypot(rate[:, 0] - low[:, 0], high[:, 1] - rate[:, 1])
    outwards = np.hypot(high[:, 0] - rate[:, 0], rate[:, 1] - low[:, 1])
    z = normal_quantile(level)
    errors = np.maximum([inwards / z, outwards / z], 1e-9)
    return np.stack([rate[:, 0] - rate[:, 1], *errors], axis=1)


def _folded(signed: Array, level: float) -> PValue:
    """The test of a gap that is one absolute difference, or the sum of two."""
    if len(signed) == 1:
        size, inwards, outwards = signed[0]

        def of_one(gaps: Array) -> Array:
            scale = np.where(gaps < size, inwards, outwards)
            centre, beyond = gaps / scale, np.abs(size - gaps) / scale
            inside = ndtr(beyond) - ndtr(-2 * centre - beyond)
            inside -= np.where(beyond <= centre, ndtr(-beyond) - ndtr(beyond - 2 * centre), 0)
            p: Array = 1 - inside
            return p

        return of_one

    noise = _normals()

    def of_two(gaps: Array) -> Array:
        scale = np.where(gaps[:, None] < signed[:, 0].sum(), signed[:, 1], signed[:, 2])
        distance, nearest = _to_diamond(signed[None, :, 0], gaps[:, None], scale[:, None, :])
        # a difference this close to 0 is as well 0, where the sum looks larger than it is
        small = nearest < SNAP * scale[:, None, :]
        lone = small & ~small[..., ::-1]
        nearest = np.where(lone, 0.0, np.where(lone[..., ::-1], gaps[:, None, None], nearest))
        drawn = nearest + noise[None] * scale[:, None, :]
        distances, _ = _to_diamond(np.abs(drawn), gaps[:, None], scale[:, None, :])
        p: Array = (distances >= distance).mean(axis=1)
        return p

    return of_two


def _to_diamond(points: Array, gaps: Array, scale: Array) -> tuple[Array, Array]:
    """The scaled distance of non-negative (..., 2) points to the line where both add to ``gaps``.

    Returns the squared distance (...) and the nearest point (..., 2) of the segment.
    """
    weight = scale**2 / (scale**2).sum(axis=-1, keepdims=True)
    excess = points.sum(axis=-1) - gaps
    first = np.clip(points[..., 0] - weight[..., 0] * excess, 0, gaps)
    nearest = np.stack([first, gaps - first], axis=-1)
    return (((points - nearest) / scale) ** 2).sum(axis=-1), nearest


@cache
def _normals() -> Array:
    """(1024, 2) evenly spread standard normal draws, the same at every call: Sobol's sequence.

    Its first coordinate is a number's bits in reverse, its second the same of the bits times
    Pascal's triangle modulo 2. (scipy.stats.qmc has it, and takes half a second to import.)
    """
    bits = (np.arange(POINTS)[:, None] >> np.arange(10)) & 1
    pascal = np.array([[comb(column, row) % 2 for row in range(10)] for column in range(10)])
    halves = 0.5 ** np.arange(1, 11)
    uniform = np.stack([bits @ halves, (bits @ pascal % 2) @ halves], axis=1)
    drawn: Array = ndtri(uniform + 0.5 / POINTS)
    return drawn


def _largest(table: Table, criterion: Criterion, seed: int, replicates: int) -> PValue:
    """The test of the largest gap over pairs of groups and classes."""
    values = _views(table, criterion)
    observed = float(_range(values))
    noise = _views(resampled(table, replicates, seed, smooth=1.0), criterion)
    noise = noise - _mean(noise, 0)
    weight = 1 / np.maximum(_mean(noise**2, 0)[0], 1e-12)
    if observed > 0:
        apart = values / observed
    else:  # a gap there may be after all is that of the group one is least sure of
        apart = np.where(np.isnan(values), np.nan, 0.0)
        if not np.isnan(weight).all():  # as it is where no group has a whole row to draw
            apart[np.unravel_index(np.nanargmin(weight), weight.shape)] = 1.0

    def of_largest(gaps: Array) -> Array:
        p = np.empty(len(gaps))
        for i, true in enumerate(gaps):
            places = _squeezed(values, weight, float(true)) if true < observed else apart * true
            drawn = _range(places + noise)
            p[i] = (np.abs(drawn - true) >= abs(observed - true)).mean()
        return p

    return of_largest


def _mean(values: Array, axis: int) -> Array:
    """The mean along an axis, which is kept, of what is defined."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0).sum(axis=axis, keepdims=True)
    rows = defined.sum(axis=axis, keepdims=True)
    return np.divide(total, rows, out=np.full(total.shape, np.nan), where=rows > 0)


def _squeezed(values: Array, weight: Array, width: float) -> Array:
    """(M, G) values moved as little as it takes for each row to span at most ``width``.

    Values within one standard error of an end are put there: groups that share the extreme make
    the largest gap look larger than it is, and the estimates hide that they share it.
    """
    weight = np.where(np.isnan(values), 0, weight)
    filled = np.nan_to_num(np.where(np.isnan(values), _mean(values, 1), values))
    low = filled.min(axis=1, keepdims=True)
    high = np.maximum(filled.max(axis=1, keepdims=True) - width, low)
    for _ in range(25):
        start = (low + high) / 2
        below = (weight * np.maximum(start - filled, 0)).sum(axis=1, keepdims=True)
        above = (weight * np.maximum(filled - start - width, 0)).sum(axis=1, keepdims=True)
        low, high = np.where(below < above, start, low), np.where(below < above, high, start)
    squeezed = np.clip(filled, start, start + width)
    end = np.where(squeezed - start < width / 2, start, start + width)
    near = weight * (squeezed - end) ** 2 < 1
    squeezed = np.where(near, end, squeezed)
    return np.where(np.isnan(values), np.nan, squeezed)


def _views(table: Table, criterion: Criterion) -> Array:
    """(..., M, G) numbers whose largest range over the groups is the gap.

    |a| + |b| is the larger of |a + b| and |a - b|: equalized odds is the range of TPR + FPR or of
    TPR - FPR.
    """
    rates = np.moveaxis(criterion_rates(table, criterion), -1, -2)
    if rates.shape[-3] == 1:
        return rates[..., 0, :, :]
    first, second = rates[..., 0, :, :], rates[..., 1, :, :]
    return np.concatenate([first + second, first - second], axis=-2)


def _range(values: Array) -> Array:
    """(...) the largest range over groups of (..., M, G) numbers, undefined ones aside."""
    high = np.where(np.isnan(values), -np.inf, values).max(axis=-1)
    low = np.where(np.isnan(values), np.inf, values).min(axis=-1)
    largest: Array = (high - low).max(axis=-1)
    return largest


def _accepted(p_value: PValue, estimate: float, limit: float, alpha: float) -> tuple[float, float]:
    """The lowest and the highest gap in [0, limit] whose p-value is at least ``alpha``."""
    ends = []
    for end in (0.0, limit):
        inside, outside = estimate, end
        for points in (32, 12, 8):
            gaps = np.linspace(inside, outside, points + 1)
            kept = p_value(gaps) >= alpha
            kept[0] = True
            last = int(np.flatnonzero(kept)[-1])
            inside, outside = float(gaps[last]), float(gaps[min(last + 1, points)])
            if last == points:
                break
        ends.append((inside + outside) / 2)
    return ends[0], ends[1]
