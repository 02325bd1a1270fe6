"""Intervals of a gap: by inversion of tests where one difference decides it, else by simulation."""

from __future__ import annotations

from functools import cache, lru_cache
from math import comb

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Table
from evenhand.criteria import Criterion
from evenhand.metrics.counts import Counts
from evenhand.metrics.estimates import effective_rows, rate_variances, smooth_rates
from evenhand.metrics.intervals import (
    UNDEFINED,
    Interval,
    check_replicates,
    counted,
    normal_quantile,
    rate_interval,
)
from evenhand.metrics.largest_gap import PValue, largest, span, views
from evenhand.metrics.normal import normal_cdf, normal_inverse
from evenhand.metrics.own_measures import own_interval
from evenhand.metrics.rates import Array, criterion_rates, gap
from evenhand.metrics.worst_interval import worst_interval

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
    """  # noqa: DOC502
    criterion = Criterion.parse(criterion)
    normal_quantile(level)
    check_replicates(replicates)
    if isinstance(counts, Counts) and criterion.needs_labels and not counts.labelled:
        return UNDEFINED
    table = counted(
        counts.effective(criterion) if isinstance(counts, Counts) else counts, "(G, K, K)", 3
    )
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
    if criterion.function is not None:
        return own_interval(table, criterion, level)
    if criterion.comparison.across == "worst":
        return worst_interval(table, criterion, level, seed, replicates)
    table = table[_comparable(table, criterion)]
    if criterion.comparison.across == "ratio":
        return _ratio_interval(table, criterion, level, seed, replicates)
    a_share = "balanced_error_rate" not in criterion.comparison.rates
    if table.shape == (2, 2, 2) and a_share and criterion.comparison.combined == "sum":
        kept = _folded(_signed(table, criterion, level), level)
    elif table.size > MOST_CELLS:
        return Interval(estimate, np.nan, np.nan)
    else:
        fewer = round(4_000_000 / table.size)
        drawn = min(replicates, max(fewer, replicates // 5))
        kept = largest(table, criterion, seed, drawn)
    low, high = _accepted(kept, estimate, criterion.highest, 1 - level)
    return Interval(estimate, low, high)


def _ratio_interval(
    table: Table, criterion: Criterion, level: float, seed: int, replicates: int
) -> Interval:
    """The interval of the lowest rate over the highest: that of the range of their logarithms."""
    estimate = float(gap(table, criterion))
    widest = float(span(views(table, criterion)))
    kept = largest(table, criterion, seed, replicates)
    relative = rate_variances(table, criterion) / smooth_rates(table, criterion) ** 2
    most = widest + 10 * float(np.sqrt(relative.max()))
    low, high = _accepted(kept, widest, most, 1 - level)
    ends = np.exp([-high, -low])
    return Interval(estimate, min(float(ends[0]), estimate), max(float(ends[1]), estimate))


def _comparable(table: Table, criterion: Criterion) -> npt.NDArray[np.bool_]:
    """(G,) True for groups that have all the rates of at least one class."""
    missing = np.isnan(criterion_rates(table, criterion))
    return np.asarray(~np.all(np.any(missing, axis=0), axis=1))


def _signed(table: Table, criterion: Criterion, level: float) -> Array:
    """(R, 3) of two groups, two classes: |difference|, standard error inwards and outwards."""
    rate = criterion_rates(table, criterion)[..., 0]
    of = effective_rows(table, criterion)[..., 0]
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
            inside = normal_cdf(beyond) - normal_cdf(-2 * centre - beyond)
            near = normal_cdf(-beyond) - normal_cdf(beyond - 2 * centre)
            inside -= np.where(beyond <= centre, near, 0)
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
    inside = (uniform + 0.5 / POINTS).ravel().tolist()
    return np.array([normal_inverse(point) for point in inside]).reshape(uniform.shape)


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
