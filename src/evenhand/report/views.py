"""What a page or a plot shows of a run, before it is drawn: points, bars and candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand.criteria import Criterion
from evenhand.metrics.counts import Counts
from evenhand.metrics.intervals import UNDEFINED, Interval, error_interval, gap_interval
from evenhand.metrics.intervals import rate_interval as wilson
from evenhand.metrics.rates import criterion_rates
from evenhand.record import Record, Run
from evenhand.report.groups import widest_class

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
    group: str
    rows: int
    before: Interval
    after: Interval | None


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
        together.setdefault((record.method, record.setting), []).append(record)
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
    chosen = run.after and (run.after.method, run.after.setting)
    before = (run.before.method, run.before.setting)
    every = settings(run.records)
    for record in (run.before, run.after):
        if record is not None:
            every.setdefault((record.method, record.setting), [record])
    return [
        Point(*key, len(mine), *measured(mine, run.criterion), key == chosen, key == before)
        for key, mine in every.items()
    ]


def rate_names(criterion: Criterion) -> tuple[str, ...]:
    """What the criterion compares, in words."""
    return {
        Criterion.DEMOGRAPHIC_PARITY: ("Selection rate",),
        Criterion.EQUAL_OPPORTUNITY: ("True-positive rate",),
        Criterion.EQUALIZED_ODDS: ("True-positive rate", "False-positive rate"),
    }[criterion]


def group_rates(counts: Counts, criterion: Criterion, label: int) -> list[list[Interval]]:
    """[R][G] the rates of one class the criterion compares, with Wilson's intervals."""
    table = np.asarray(counts.table, dtype=np.float64)
    rates = criterion_rates(table, criterion)[..., 0 if table.shape[-1] == 2 else label]
    rows = table.sum(axis=(1, 2))
    positives = table[:, label].sum(axis=1)
    of = {
        Criterion.DEMOGRAPHIC_PARITY: [rows],
        Criterion.EQUAL_OPPORTUNITY: [positives],
        Criterion.EQUALIZED_ODDS: [positives, rows - positives],
    }[criterion]
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
    before = run.before.counts
    label = widest_class(before, run.criterion)
    first = group_rates(before, run.criterion, label)
    second = group_rates(run.after.counts, run.criterion, label) if run.after else None
    names = rate_names(run.criterion)
    shown = largest_groups(before, MOST_BARS // len(names))
    drawn = [
        Bar(
            names[r],
            before.group_names[g],
            round(float(before.sizes[g])),
            first[r][g],
            second[r][g] if second else None,
        )
        for r in range(len(names))
        for g in shown
    ]
    return before.class_names[label], drawn


def asked_bound(run: Run) -> float | None:
    """The bound on the gap that was asked for, from the configuration; None without one."""
    bound = run.config.get("bound")
    if isinstance(bound, dict):
        bound = next((bound[k] for k in ("limit", "value", "bound", "gap") if k in bound), None)
    limit: Any = getattr(bound, "limit", bound)
    try:
        return None if limit is None else float(limit)
    except (TypeError, ValueError):
        return None


def candidates(run: Run) -> list[dict[str, Any]]:
    """The points the bound chooses among, ready for the page's script, lowest bound last.

    Each has a ``name``, the cross-fitted ``error``, ``gap`` and ``upper``, where it stands in the
    chart (``x``, ``y``: on the test rows if its counts are known), whether it was ``chosen``, and
    its ``bars`` as [rate, low, high] if its counts are known.
    """
    listed = []
    label = widest_class(run.before.counts, run.criterion)
    most = MOST_BARS // len(rate_names(run.criterion))
    shown = largest_groups(run.before.counts, most)
    for entry in run.frontier:
        values = [float(entry.get(key, np.nan)) for key in ("error", "gap", "upper")]
        if not np.isfinite(values).all():
            continue
        error, gap, upper = values
        counts = entry.get("counts")
        drawn = None
        if isinstance(counts, Counts):
            record = Record("", "", "", 0, counts, 0, 0.0)
            x, y = record.gap(run.criterion), record.error
            rates = group_rates(counts, run.criterion, label)
            drawn = [
                [None if np.isnan(v) else round(v, 5) for v in rate[g]]
                for rate in rates
                for g in shown
            ]
        else:
            x, y = gap, error
        if not np.isfinite([x, y]).all():
            continue
        setting = entry.get("setting", entry.get("strength", ""))
        name = f"strength {setting:.3g}" if isinstance(setting, float | int) else str(setting)
        listed.append(
            {
                "name": name,
                "error": round(error, 4),
                "gap": round(gap, 5),
                "upper": round(upper, 5),
                "x": float(x),
                "y": float(y),
                "chosen": bool(entry.get("chosen", False)),
                "bars": drawn,
            }
        )
    return sorted(listed, key=lambda c: -float(str(c["upper"])))
