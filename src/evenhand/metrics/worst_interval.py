"""The interval of a worst-group figure: the rate of whichever group fares worst.

The lowest of several estimates is lower than the lowest of what they estimate, the more so the
more groups share the worst place. The interval holds the true figures that a test of the lowest
estimate does not reject, with the other groups where their own estimates leave them.
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

    def higher(true: float) -> float:
        """How likely the lowest is seen at least as low, if it were ``true``, above it."""
        places = np.maximum(values, true)
        return float(((places + noise).min(axis=1) <= observed).mean())

    def lower(true: float) -> float:
        """How likely the lowest is seen at least as high, if it were ``true``, below it."""
        above = (values - true) / error
        # groups within a standard error of the worst place may share it
        places = np.where((above < 1) | (above == above.min()), true, values)
        return float(((places + noise).min(axis=1) >= observed).mean())

    most, least = (1.0, 0.0) if sign > 0 else (0.0, -1.0)
    ends = (
        _end(lower, observed, least, alpha / 2),
        _end(higher, observed, most, alpha / 2),
    )
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
