"""What a page or a plot shows of a run, before it is drawn: points, bars and candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from evenhand.criteria import Criterion, Rate
from evenhand.metrics.counts import Counts
from evenhand.metrics.estimates import effective_rows
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import UNDEFINED, Interval, error_interval
from evenhand.metrics.intervals import rate_interval as wilson
from evenhand.metrics.rates import criterion_rates
from evenhand.report.group_table import widest_class
from evenhand.report.record import PathPoint, Record, Run
from evenhand.report.setting import Setting

MOST_BARS = 40


@dataclass(frozen=True)
class Point:
    """One method and setting of the trade-off: error in % against the gap.

    With one seed the intervals are 95 % intervals from the test rows; with several, the mean and
    one standard deviation over the seeds on either side.
    """

    method: str
    setting: str
    seeds: int
    error: Interval
    gap: Interval
    chosen: bool
    before: bool

    @property
    def name(self) -> str:
        """The method and its setting."""
        return f"{self.method} {self.setting}".strip()


@dataclass(frozen=True)
class Bar:
    """One rate of one group, before and after."""

    rate: str
    attribute: str
    group: str
    rows: int
    before: Interval
    after: Interval | None

    @property
    def title(self) -> str:
        """The rate, and what the groups are groups of."""
        return self.rate if self.attribute == "group" else f"{self.rate} by {self.attribute}"


def spread(values: Sequence[float]) -> Interval:
    """The mean, and one standard deviation (of a sample) to either side."""
    defined = np.asarray([v for v in values if np.isfinite(v)])
    if not len(defined):
        return UNDEFINED
    mean = float(defined.mean())
    std = float(defined.std(ddof=1)) if len(defined) > 1 else 0.0
    return Interval(mean, mean - std, mean + std)


def settings(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """The records of each method and setting, in order of appearance."""
    together: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        together.setdefault(record.key, []).append(record)
    return together


def measured(records: Sequence[Record], criterion: Criterion) -> tuple[Interval, Interval]:
    """The error and the gap of one setting: with intervals for one seed, mean ± std for more."""
    if len(records) == 1:
        counts = records[0].counts
        return error_interval(counts), gap_interval(counts, criterion)
    return (
        spread([record.error for record in records]),
        spread([record.gap(criterion) for record in records]),
    )


def points(run: Run) -> list[Point]:
    """Every method and setting of the run as a point."""
    chosen = run.after and run.after.key
    before = run.before.key
    every = settings(run.records)
    for record in (run.before, run.after):
        if record is not None:
            every.setdefault(record.key, [record])
    return [
        Point(*key, len(mine), *measured(mine, run.criterion), key == chosen, key == before)
        for key, mine in every.items()
    ]


RATE_NAMES: dict[Rate, str] = {
    "selection_rate": "Selection rate",
    "true_positive_rate": "True-positive rate",
    "false_positive_rate": "False-positive rate",
    "precision": "Precision",
    "accuracy": "Accuracy",
    "error_rate": "Error rate",
    "balanced_error_rate": "Balanced error rate",
}


def rate_names(criterion: Criterion) -> tuple[str, ...]:
    """What the criterion compares, in words."""
    return tuple(RATE_NAMES[rate] for rate in criterion.comparison.rates)


def group_rates(counts: Counts, criterion: Criterion, label: int) -> list[list[Interval]]:
    """[R][G] the rates of one class the criterion compares, with Wilson's intervals."""
    table = np.asarray(counts.effective(criterion), dtype=np.float64)
    rates, of = criterion_rates(table, criterion), effective_rows(table, criterion)
    place = label if rates.shape[-1] == table.shape[-1] else 0
    rates, of = rates[..., place], of[..., place]
    intervals = []
    for rate, below in zip(rates, of, strict=True):
        low, high = wilson(np.nan_to_num(rate) * below, below)
        ends = zip(rate, low, high, strict=True)
        intervals.append([Interval(float(r), float(lo), float(hi)) for r, lo, hi in ends])
    return intervals


def largest_groups(counts: Counts, most: int) -> list[int]:
    """The groups to show where there are many: the largest, in their own order."""
    order = np.argsort(-np.asarray(counts.sizes), kind="stable")[:most]
    return sorted(int(g) for g in order)


def bars(run: Run) -> tuple[str, list[Bar]]:
    """The class shown, and its rates in each group before and after."""
    label = widest_class(run.before.counts, run.criterion)
    drawn = _bars_of(run.before.counts, run.after, run.criterion, label)
    return run.before.counts.class_names[label], drawn


def _bars_of(before: Counts, after: Record | None, criterion: Criterion, label: int) -> list[Bar]:
    first = group_rates(before, criterion, label)
    second = group_rates(after.counts, criterion, label) if after else None
    names = rate_names(criterion)
    return [
        Bar(
            names[r],
            before.attribute,
            before.group_names[g],
            round(float(before.sizes[g])),
            first[r][g],
            second[r][g] if second else None,
        )
        for r in range(len(names))
        for g in largest_groups(before, MOST_BARS // len(names))
    ]


def asked_bound(run: Run) -> float | None:
    """The bound that was asked for on the gap the report is about; None without one."""
    return run.bounds.get(run.criterion)


def candidates(run: Run) -> list[dict[str, Any]]:
    """The points the page's slider chooses among, the largest gap first.

    Each has a ``name``, the ``error``, the ``gap`` and the ``upper`` bound that is held against the
    slider's, where it stands in the chart (``x``, ``y``), whether it was ``chosen``, and its
    ``bars`` as [rate, low, high], None where its counts are not known. The path of a fine-tuning
    run is cross-fitted, and stands where the choice saw it; a comparison has no path, so what
    it measured takes its place (``measured``), with the gap itself as the bound.
    """
    found = [_on_path(run, point) for point in run.frontier]
    if not run.frontier and run.command == "compare":
        found = _measured(run)
    drawn = [
        c for c in found if np.isfinite([c[k] for k in ("error", "gap", "upper", "x", "y")]).all()
    ]
    return sorted(drawn, key=lambda c: -float(c["upper"]))


def _on_path(run: Run, point: PathPoint) -> dict[str, Any]:
    on_test = None
    if point.counts is not None:
        on_test = Record("", "", Setting(), 0, point.counts, 0, 0.0)
    return {
        "name": f"strength {point.strength:.3g}",
        "error": round(point.error, 4),
        "gap": round(point.gap, 5),
        "upper": round(point.upper, 5),
        "x": point.gap,
        "y": point.error,
        "chosen": point.chosen,
        "bars": _bar_values(run, on_test.counts) if on_test else None,
        "measured": False,
    }


def _measured(run: Run) -> list[dict[str, Any]]:
    """Every method and setting as it came out, seeds together."""
    together = settings(run.records)
    found = []
    for point in points(run):
        mine = together.get((point.method, point.setting))
        if mine:
            error, gap = point.error.estimate, point.gap.estimate
            found.append(
                {
                    "name": point.name,
                    "error": round(error, 4),
                    "gap": round(gap, 5),
                    "upper": round(gap, 5),
                    "x": gap,
                    "y": error,
                    "chosen": point.chosen,
                    "bars": _bar_values(run, reduce(add, (r.counts for r in mine))),
                    "measured": True,
                }
            )
    return found


def _bar_values(run: Run, counts: Counts) -> list[list[float | None]] | None:
    """The bars of ``bars(run)`` for other counts; None if their groups or classes differ."""
    before = run.before.counts
    if (counts.group_names, counts.class_names) != (before.group_names, before.class_names):
        return None
    label = widest_class(before, run.criterion)
    shown = largest_groups(before, MOST_BARS // len(rate_names(run.criterion)))
    return [
        [None if np.isnan(v) else round(v, 5) for v in rate[g]]
        for rate in group_rates(counts, run.criterion, label)
        for g in shown
    ]
