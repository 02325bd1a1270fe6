"""How often a watch cries wolf, and how soon it finds what is broken, on simulated years.

Beside it the rule of most monitors: a fixed 95 % interval of the difference at every look, an alarm
where it lies above the bound.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from evenhand._base.arrays import Float64
from evenhand.auditing.watching.judge import STRONGEST
from evenhand.auditing.watching.sequence import Cell, Pair

BOUND, BASE = 0.10, 0.30
GAPS = (0.05, 0.10, 0.15)
"""True gaps: below, at and above the bound."""
LOOKS, DAILY = 365, 40
"""A year of daily looks, and rows of each group a day."""
WARM = 1000
"""Rows of each group that the run was tested on."""
Z = 1.959963984540054


def watching(years: int = 1000, seed: int = 0, alarms: float = 0.05) -> pd.DataFrame:
    """One row a true gap: alarms in a year by either rule, and rows a group until the first.

    Args:
        years: simulated for each gap.
        seed: of the draws.
        alarms: the share of years that a kept promise may be called broken in.
    """
    draw = np.random.default_rng(seed)
    rows = [_row(gap, years, draw, alarms) for gap in GAPS]
    return pd.DataFrame(rows)


def _row(gap: float, years: int, draw: np.random.Generator, alarms: float) -> dict[str, float]:
    rates = (BASE + gap, BASE)
    n = np.arange(1.0, LOOKS + 1) * DAILY
    hits = [draw.binomial(DAILY, rate, (years, LOOKS)).cumsum(axis=1) for rate in rates]
    cells = [
        Cell(found.astype(np.float64), np.broadcast_to(n, found.shape), prior)
        for found, prior in zip(hits, _priors(rates, years, draw), strict=True)
    ]
    ours = Pair(((cells[0], cells[1]),)).least_within(BOUND) >= -np.log(alarms)
    share = [found / n for found in hits]
    spread = np.sqrt(sum(p * (1 - p) / n for p in share))
    fixed = np.abs(share[0] - share[1]) - Z * spread > BOUND
    return {
        "true_gap": gap,
        "bound": BOUND,
        "years": years,
        "looks": LOOKS,
        "rows_a_look": DAILY,
        "watch_alarms": float(ours.any(axis=1).mean()),
        "fixed_alarms": float(fixed.any(axis=1).mean()),
        "watch_rows": _first(ours, n),
        "fixed_rows": _first(fixed, n),
    }


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
        f"{LOOKS} days, a bound of {BOUND:g} on the difference of their selection rates. An alarm "
        "is a look at which the promise is called broken.",
        "",
        "| true gap | years with an alarm: watch | a fixed 95 % interval at each look | "
        "rows a group to the first alarm: watch | fixed |",
        "|---|---|---|---|---|",
    ]
    for row in table.to_dict(orient="records"):
        shown = [
            "-" if np.isnan(row[name]) else f"{row[name]:,.0f}"
            for name in ("watch_rows", "fixed_rows")
        ]
        lines.append(
            f"| {row['true_gap']:g} | {row['watch_alarms']:.1%} | {row['fixed_alarms']:.1%} | "
            f"{shown[0]} | {shown[1]} |"
        )
    return "\n".join([*lines, ""])
