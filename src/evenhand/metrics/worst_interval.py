"""The interval of a worst-group figure: the rate of whichever group fares worst.

The lowest of several estimates is lower than the lowest of what they estimate, the more so the
more groups share the worst place. The interval holds the true figures that a test of the lowest
estimate does not reject, with the other groups where their own estimates leave them. The test asks
how far the lowest is from the figure either way: two tests of half the size, one each way, would
hold the truth too often, since where groups share a place hardly anything is seen above it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evenhand._base.arrays import Table
from evenhand.criteria import Criterion
from evenhand.metrics.estimates import rate_rows
from evenhand.metrics.intervals import UNDEFINED, Interval, resampled
from evenhand.metrics.rates import criterion_rates, gap

ENDS = 60
"""How often an end of the interval is halved towards its place."""


def worst_interval(
    table: Table, criterion: Criterion, level: float, seed: int, replicates: int
) -> Interval:
    """The figure of a criterion that looks at the worst group, with its interval.

    Args:
        table: (G, K, K) counts.
        criterion: one that compares by the worst.
        level, seed, replicates: of the interval.
    """
    estimate = float(gap(table, criterion))
    if np.isnan(estimate):
        return UNDEFINED
    sign = 1.0 if criterion.kind == "level" else -1.0  # the lowest is the worst, either way
    table = table[table.sum(axis=(1, 2)) > 0]
    kept = (rate_rows(table.sum(axis=-1), criterion) > 0).ravel()
    values = sign * criterion_rates(table, criterion).reshape(-1)[kept]
    drawn = resampled(table, replicates, seed, smooth=1.0)
    noise = sign * criterion_rates(drawn, criterion).reshape(len(drawn), -1)[:, kept]
    noise = np.nan_to_num(noise - np.nanmean(noise, axis=0))
    error = np.maximum(noise.std(axis=0), 1e-9)
    observed, alpha = float(values.min()), 1 - level

    def p_value(true: float) -> float:
        """How likely the lowest is seen at least as far from ``true``, if it were that."""
        above = (values - true) / error
        # where it is seen higher than it is, groups within a standard error may share its place
        shared = (above < 1) | (above == above.min()) if true < observed else above < 0
        lowest = (np.where(shared, true, values) + noise).min(axis=1)
        return float((np.abs(lowest - true) >= abs(observed - true)).mean())

    most, least = (1.0, 0.0) if sign > 0 else (0.0, -1.0)
    ends = (_end(p_value, observed, end, alpha) for end in (least, most))
    low, high = sorted(sign * end for end in ends)
    return Interval(estimate, min(low, estimate), max(high, estimate))


def _end(p_value: Callable[[float], float], inside: float, outside: float, alpha: float) -> float:
    """Where the p-value falls to ``alpha`` between ``inside`` and ``outside``."""
    if p_value(outside) >= alpha:
        return outside
    for _ in range(ENDS):
        middle = (inside + outside) / 2
        if p_value(middle) >= alpha:
            inside = middle
        else:
            outside = middle
        if abs(outside - inside) < 1e-5:
            break
    return (inside + outside) / 2
