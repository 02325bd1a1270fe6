"""Where the marks of the page's charts stand, in per cent of the drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

from evenhand._base.text import number
from evenhand.metrics.intervals import Interval

MARKERS = ("circle", "square", "triangle", "diamond", "down", "cross", "plus", "star")


PATHS = {
    "circle": "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z",
    "square": "M-4.5,-4.5h9v9h-9z",
    "triangle": "M0,-5.5L5.5,4.5H-5.5z",
    "diamond": "M0,-6L6,0L0,6L-6,0z",
    "down": "M0,5.5L5.5,-4.5H-5.5z",
    "cross": "M-5,-3L-3,-5L0,-2L3,-5L5,-3L2,0L5,3L3,5L0,2L-3,5L-5,3L-2,0z",
    "plus": "M-1.6,-5.5h3.2v3.9h3.9v3.2h-3.9v3.9h-3.2v-3.9h-3.9v-3.2h3.9z",
    "star": "M0,-7L1.8,-2.2L6.7,-2.2L2.8,.9L4.1,5.7L0,2.9L-4.1,5.7L-2.8,.9L-6.7,-2.2L-1.8,-2.2z",
}
"""The shapes of the marks, in pixels around their place."""


COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")
"""Okabe and Ito's colours, told apart by the colour-blind; shapes tell the marks apart as well."""


@dataclass(frozen=True)
class Axis:
    """A linear axis: data in [low, high] to [start, end] per cent of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where ``value`` stands, kept inside the axis."""
        inside = min(max(value, self.low), self.high)
        share = (inside - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 3)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Places and labels of round values."""
        values = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        step = float(values[1] - values[0])
        digits = max(0, int(np.ceil(-np.log10(step) - 1e-9)))
        digits += round(step * 10**digits, 6) % 1 > 0
        inside = [v for v in values if self.low - 1e-9 <= v <= self.high + 1e-9]
        return [(self.at(float(v)), number(float(v), digits)) for v in inside]


def axis(values: list[float], start: float, end: float, *, least: float | None = None) -> Axis:
    """An axis that holds ``values`` with a little room, and ``least`` if given."""
    finite = [v for v in values if np.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    room = 0.06 * (high - low) or max(abs(high) * 0.1, 0.01)
    low, high = low - room, high + room
    if least is not None:
        low = max(low, least)
    return Axis(low, high, start, end)


def capped(intervals: list[Interval]) -> list[float]:
    """The values an axis has to show: every estimate, and ends that are not far out.

    One wild interval must not flatten the rest.
    """
    estimates = [i.estimate for i in intervals if np.isfinite(i.estimate)]
    if not estimates:
        return []
    reach = (max(estimates) - min(estimates)) or 1.0
    ends = [e for i in intervals for e in (i.low, i.high) if np.isfinite(e)]
    near = [e for e in ends if min(estimates) - reach <= e <= max(estimates) + reach]
    return estimates + near


def mark(place: int) -> tuple[str, str]:
    """The shape and the colour of the ``place``-th method; pairs repeat after 56."""
    return MARKERS[place % len(MARKERS)], COLOURS[place % len(COLOURS)]
