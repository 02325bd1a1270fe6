"""The stated rule: from differences, seed by seed, to a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import stats

from evenhand.experiments.compare.statistics import mean_interval

Array = npt.NDArray[np.float64]


MARGINS = {"error": 0.25, "delta_eo": 0.02, "delta_dp": 0.02}
"""Differences that count as none: a quarter of a point of error, .02 of a gap."""


class Verdict(StrEnum):
    """What the numbers say of a claim."""

    FAILS = "does not reproduce"
    EQUIVALENT = "equivalent"
    REPRODUCES = "reproduces"
    NOT_RUN = "not run"


class Kind(StrEnum):
    """What a claim says of a difference (the first named minus the second)."""

    LOWER = "lower"
    HIGHER = "higher"
    CHANGES = "changes"
    KEPT = "kept"
    SAME = "same"
    BELOW = "mean below"


RULE = (
    "Every comparison is a paired difference over seeds with a 95 % t-interval. It is "
    "“equivalent” where the whole interval lies within the margin (a quarter of a point of error, "
    ".02 of a gap, unless the line says otherwise); it “reproduces” where the whole interval lies "
    "on the claimed side of 0; for a claim that fairness is kept, where the interval's upper end "
    "is within the margin; for a printed number, where ours is within the margin of it; and for "
    "evenhand against a printed row, where its mean is below. "
    "Everything else “does not reproduce”. A claim of several lines has the verdict of most of "
    "the lines that were run, in a tie the less favourable; to be better than a "
    "printed row, all must be. “Not run” is not evidence either way."
)


@dataclass(frozen=True, eq=False)
class Evidence:
    """One line of evidence for or against a claim.

    Attributes:
        claim: the claim it belongs to.
        comparison: what is compared, in words.
        metric: ``error``, ``delta_eo``, ``delta_dp`` or another quantity's name.
        printed: what the paper prints, as text.
        ours: our two values, as text.
        differences: (P,) paired differences over seeds; empty where it was not run.
        kind: what the claim says of them.
        margin: differences up to it count as none.
        why_not: why it was not run.
    """

    claim: str
    comparison: str
    metric: str
    printed: str
    ours: str
    differences: Sequence[float]
    kind: Kind
    margin: float
    why_not: str = ""

    @property
    def interval(self) -> tuple[float, float, float]:
        """Mean difference, low and high end of its 95 % interval."""
        return mean_interval(self.differences)

    @property
    def verdict(self) -> Verdict:
        """By :data:`RULE`."""
        return judge(self.interval, self.kind, self.margin)

    @property
    def remark(self) -> str:
        """Why it was not run, or that the seeds do not settle it."""
        mean, low, high = self.interval
        if self.verdict is Verdict.NOT_RUN:
            one = "one seed gives no interval" if np.isfinite(mean) else "not asked for"
            return self.why_not or one
        if self.kind is Kind.BELOW and low <= 0 <= high:
            return "means are compared; the interval holds 0"
        if self.kind is Kind.KEPT and mean <= self.margin < high:
            return "the mean is within the margin, the interval is not"
        if self.verdict is Verdict.FAILS and low <= 0 <= high:
            return "the seeds do not settle it: the interval holds 0 and more than the margin"
        return ""


def welch_interval(first: Array, second: Array) -> tuple[float, float, float]:
    """Mean(first) - mean(second) with Welch's 95 % interval, for unpaired values."""
    mean = float(first.mean() - second.mean())
    if min(len(first), len(second)) < 2:
        return mean, float("nan"), float("nan")
    found = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    return mean, float(found.low), float(found.high)


def judge(interval: tuple[float, float, float], kind: Kind, margin: float) -> Verdict:
    """The verdict that :data:`RULE` gives on an interval (mean, low, high)."""
    mean, low, high = interval
    if not np.isfinite([low, high]).all():
        return Verdict.NOT_RUN
    if kind is Kind.BELOW:
        return Verdict.REPRODUCES if mean <= margin else Verdict.FAILS
    if kind is Kind.KEPT:
        return Verdict.REPRODUCES if high <= margin else Verdict.FAILS
    inside = -margin <= low and high <= margin
    if kind is Kind.SAME:
        return Verdict.REPRODUCES if inside else Verdict.FAILS
    if inside:
        return Verdict.EQUIVALENT
    claimed = {
        Kind.LOWER: high < 0,
        Kind.HIGHER: low > 0,
        Kind.CHANGES: high < 0 or low > 0,
    }[kind]
    return Verdict.REPRODUCES if claimed else Verdict.FAILS


def overall(lines: Sequence[Evidence]) -> Verdict:
    """The verdict of most lines that were run; in a tie, or where all must hold, the least."""
    fell: list[Verdict] = [line.verdict for line in lines if line.verdict is not Verdict.NOT_RUN]
    if not fell:
        return Verdict.NOT_RUN
    if any(line.kind is Kind.BELOW for line in lines):
        return min(fell, key=list(Verdict).index)
    return max(Verdict, key=lambda verdict: fell.count(verdict))
