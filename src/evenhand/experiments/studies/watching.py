"""How often a watch cries wolf, and how soon it finds what is broken, on simulated years.

The watch judges as ``evenhand watch`` does, by the series that begin at each window. Beside it the
rule of most monitors (Amazon SageMaker Clarify's, DataRobot's): a fixed 95 % interval of the
difference at every look, of all rows so far or of the day's alone; an alarm where it lies above the
bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evenhand._base.arrays import Float64
from evenhand.auditing.watching.judge import STRONGEST, share_of
from evenhand.auditing.watching.sequence import Cell, Pair

BOUND, BASE = 0.10, 0.30
GAPS = (0.05, 0.10, 0.15)
"""True gaps: below, at and above the bound."""
LOOKS, DAILY = 365, 40
"""A year of daily looks, and rows of each group a day that the rate is a share of."""
LATE = 30
"""Days that labels come after the decisions."""
WARM = 1000
"""Rows of each group that the run was tested on."""
WINDOW = 5000
"""Rows of a window, as ``evenhand watch`` has it by default."""
Z = 1.959963984540054
PARITY, LABELLED, DRIFT = "selection rates", "labels 30 days late", "drift in July"


def watching(years: int = 1000, seed: int = 0, alarms: float = 0.05) -> pd.DataFrame:
    """One row a kind of year: alarms in it by each rule, and rows a group until the first.

    Args:
        years: simulated for each.
        seed: of the draws.
        alarms: the share of years that a kept promise may be called broken in.
    """
    draw = np.random.default_rng(seed)
    rows = [_row(PARITY, (gap, gap), years, draw, alarms) for gap in GAPS]
    rows += [_row(LABELLED, (gap, gap), years, draw, alarms) for gap in GAPS]
    rows.append(_row(DRIFT, (GAPS[0], GAPS[2]), years, draw, alarms))
    return pd.DataFrame(rows)


def _row(
    kind: str, gaps: tuple[float, float], years: int, draw: np.random.Generator, alarms: float
) -> dict[str, float | str]:
    """A gap in the first half of the year and in the second, seen from look to look."""
    half = LOOKS // 2
    daily = np.where(np.arange(LOOKS) < half, gaps[0], gaps[1]) + BASE, np.full(LOOKS, BASE)
    found = [draw.binomial(DAILY, rate, (years, LOOKS)) for rate in daily]
    late = LATE if kind == LABELLED else 0
    if late:  # a look has the labels of the days before, and none in the first month
        found = [np.pad(hits, ((0, 0), (late, 0)))[:, :LOOKS] for hits in found]
    n = np.maximum(np.arange(1.0, LOOKS + 1) - late, 0) * DAILY
    hits = [each.cumsum(axis=1).astype(np.float64) for each in found]
    priors = list(_priors((BASE + gaps[0], BASE), years, draw))
    ours = _evidence(hits, n, priors) >= -np.log(alarms)
    judged = slice(half, None) if kind == DRIFT else slice(None)
    seen = n[judged] - (n[half - 1] if kind == DRIFT else 0)
    fixed, alone = _above(hits, n), _above(found, np.where(n > 0, DAILY, 0))
    return {
        "kind": kind,
        "true_gap": gaps[1],
        "bound": BOUND,
        "years": years,
        "looks": LOOKS,
        "rows_a_look": DAILY,
        "watch_alarms": float(ours[:, judged].any(axis=1).mean()),
        "fixed_alarms": float(fixed[:, judged].any(axis=1).mean()),
        "daily_alarms": float(alone[:, judged].any(axis=1).mean()),
        "watch_rows": _first(ours[:, judged], seen),
        "fixed_rows": _first(fixed[:, judged], seen),
        "watch_early": float(ours[:, :half].any(axis=1).mean()) if kind == DRIFT else float("nan"),
    }


def _evidence(
    hits: Sequence[Float64], rows: Float64, priors: Sequence[tuple[Float64, Float64]]
) -> Float64:
    """(years, LOOKS) log evidence against the bound, of the series that begin at each window."""
    days = -(-WINDOW // (2 * DAILY))
    together = np.full(hits[0].shape, -np.inf)
    for number, start in enumerate(range(0, LOOKS, days), 1):
        before = [each[:, [start - 1]] if start else np.zeros_like(each[:, :1]) for each in hits]
        recent = [(now - then)[:, start:] for now, then in zip(hits, before, strict=True)]
        since = rows[start:] - (rows[start - 1] if start else 0)
        found = _broken(recent, since, priors) + np.log(share_of(number))
        together[:, start:] = np.logaddexp(together[:, start:], found)
    return together


def _broken(
    hits: Sequence[Float64], rows: Float64, priors: Sequence[tuple[Float64, Float64]]
) -> Float64:
    """(years, LOOKS) how strongly what was seen speaks against the bound."""
    cells = [
        Cell(found, np.broadcast_to(rows, found.shape), prior)
        for found, prior in zip(hits, priors, strict=True)
    ]
    return Pair(((cells[0], cells[1]),)).least_within(BOUND)


def _above(hits: Sequence[npt.NDArray[Any]], rows: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """(years, LOOKS) whether a fixed 95 % interval of the difference lies above the bound."""
    share = [found / np.maximum(rows, 1) for found in hits]
    spread = np.sqrt(sum(p * (1 - p) / np.maximum(rows, 1) for p in share))
    return np.asarray((np.abs(share[0] - share[1]) - Z * spread > BOUND) & (rows > 0))


def _priors(
    rates: tuple[float, float], years: int, draw: np.random.Generator
) -> Iterator[tuple[Float64, Float64]]:
    """What the run's test rows, decided as promised, let one expect."""
    promised = (min(rates[0], BASE + BOUND), rates[1])
    for rate in promised:
        hits = draw.binomial(WARM, rate, (years, 1)).astype(np.float64) * (STRONGEST / WARM)
        yield np.asarray(0.5 + hits), np.asarray(0.5 + STRONGEST - hits)


def _first(alarm: npt.NDArray[np.bool_], rows: npt.NDArray[np.float64]) -> float:
    """Rows a group until the first alarm, the median over years; NaN where most have none."""
    found = alarm.any(axis=1)
    if found.mean() <= 0.5:
        return float("nan")
    first = np.where(found, rows[alarm.argmax(axis=1)], np.inf)
    return float(np.median(first))


def page(table: pd.DataFrame, command: str, machine: str) -> str:
    """The table as Markdown, with what it was made by."""
    lines = [
        "# A year of daily looks",
        "",
        f"Written by `{command}` ({machine}); do not edit. Two groups, {DAILY} rows each a day for "
        f"{LOOKS} days that a rate is a share of, a bound of {BOUND:g} on the difference of the "
        "two rates. An alarm is a look at which the promise is called broken. Most monitors test a "
        "fixed 95 % interval at every look, of all rows so far or of the day's alone (Amazon "
        "SageMaker Clarify, DataRobot).",
        "",
        "| what is seen | true gap | years with an alarm: watch | fixed interval, all rows so "
        "far | fixed interval, the day's rows | rows a group to the first alarm: watch | "
        "fixed, all rows so far |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict(orient="records"):
        shown = [
            "-" if np.isnan(row[name]) else f"{row[name]:,.0f}"
            for name in ("watch_rows", "fixed_rows")
        ]
        lines.append(
            f"| {row['kind']} | {row['true_gap']:g} | {row['watch_alarms']:.1%} | "
            f"{row['fixed_alarms']:.1%} | {row['daily_alarms']:.1%} | {shown[0]} | {shown[1]} |"
        )
    drift = table[table["kind"] == DRIFT].iloc[0]
    lines += [
        "",
        f"In the year of the drift the gap is {GAPS[0]:g} in the first half and {GAPS[2]:g} in the "
        f"second; alarms and rows are those of the second half. In the first half "
        f"{drift['watch_early']:.1%} of years had a false alarm.",
    ]
    return "\n".join([*lines, ""])
