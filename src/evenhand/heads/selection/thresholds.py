"""The thresholds that offsets stand for, and how many of them lie below a row's log-odds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand._base.arrays import Float64, FloatArray, IntArray

EVEN = 1e-9
"""Steps between offsets that differ by less than this share of a step are of one length."""

NEAR = 1e-6
"""Log-odds as near to a threshold as this share of a step are compared with it itself."""


class Thresholds:
    """Thresholds -offset, in ascending order.

    Where they are evenly spaced, a log-odds' place among them is a product, which is several times
    as fast as a search; a log-odds so near to a threshold that rounding could tell is searched for.

    Args:
        offsets: (O,) added to the log-odds.
    """

    def __init__(self, offsets: Sequence[float]) -> None:
        self.values: Float64 = np.sort(-np.asarray(offsets, dtype=np.float64))
        steps = np.diff(self.values)
        step = float(steps.mean()) if len(steps) else 0.0
        self.even = step > 0 and float(np.ptp(steps)) < EVEN * step
        self.per_step = 1 / step if self.even else 0.0

    def below(self, odds: FloatArray) -> IntArray:
        """(...,) how many thresholds lie below each of the log-odds; all, below one of NaN."""
        if not self.even:
            return self._found(odds)
        place = np.subtract(odds, self.values[0], dtype=np.float64)
        place *= self.per_step
        np.fmin(place, len(self.values) - 0.5, out=place)  # NaN, too, is above them all
        np.maximum(place, -0.5, out=place)
        passed = np.ceil(place)
        # How far a place is from the middle of its step: half a step, at a threshold.
        place -= passed
        place += 0.5
        near = np.abs(place, out=place) > 0.5 - NEAR
        passed[near] = self._found(odds[near])
        return passed.astype(np.int64)

    def _found(self, odds: FloatArray) -> IntArray:
        return np.searchsorted(self.values, odds, side="left").astype(np.int64)
