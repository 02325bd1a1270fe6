"""The study of every criterion as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.markdown import markdown_table
from evenhand._base.text import listed, number
from evenhand.experiments.studies.criteria import (
    CONFIDENCE,
    EVEN_SHARES,
    FLOORS,
    LEVEL,
    ROWS_PER_CELL,
    WORST_SHARES,
)
from evenhand.metrics.intervals import rate_interval

AROUND = (0.93, 0.97)
"""Where the coverage of 95 % intervals is to lie."""

KEPT = (0.90, 0.96)
"""Where the share of promises kept is to lie."""

FEW = 20
"""Fewer promises tell little of the share that is kept."""


def promises(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a criterion: how many promises were made, and the share kept with its interval."""
    found = []
    for criterion, part in rows.groupby("criterion", sort=False):
        made = part[part["promised"]]
        kept = int(made["kept"].sum())
        low, high = rate_interval(kept, len(made))
        share = kept / len(made) if len(made) else float("nan")
        told = {"criterion": criterion, "asked": len(part), "promised": len(made)}
        found.append(told | {"kept": share, "low": float(low), "high": float(high)})
    return pd.DataFrame(found)


def page(intervals: pd.DataFrame, rows: pd.DataFrame, command: str, machine: str) -> str:
    """The study as Markdown."""
    made = promises(rows)
    together = rows[rows["promised"]]
    outside = intervals[~intervals["held"].between(*AROUND)]
    known = made[made["promised"] >= FEW]
    below = known[known["high"] < KEPT[0]]
    asked = (
        f"{EVEN_SHARES[0]:g} and {EVEN_SHARES[1]:g} of what transfer learning lacks, but at least "
        f"{FLOORS:g} noise floors; of the worst group or cell, {WORST_SHARES[0]:g} and "
        f"{WORST_SHARES[1]:g} of it"
    )
    chance = 1.96 * float(np.sqrt(LEVEL * (1 - LEVEL) / intervals["draws"].max()))
    sizes = listed(f"{n:,}" for n in sorted(set(rows["rows"])))
    lines = [
        "# Every criterion: intervals and promises",
        f"Made by `{command}` on {machine}.",
        "## Do the intervals hold the truth?",
        f"Tables drawn from known shares of decisions, about {ROWS_PER_CELL} rows of each group "
        f"and label, {int(intervals['draws'].max()):,} of each kind: the share of {LEVEL:.0%} "
        "intervals that hold the true figure, and of one-sided bounds at "
        f"{CONFIDENCE:g}. {len(intervals) - len(outside)} of {len(intervals)} lie in "
        f"{AROUND[0]:.0%} to {AROUND[1]:.0%}{_named(outside)}. A share of so many tables is off by "
        f"{chance:.1%} by chance in one of twenty.",
        markdown_table(
            ("criterion", "decisions", "true figure", "95 % intervals", "bounds at .9"),
            (_interval_line(r) for r in intervals.to_dict("records")),
        ),
        "A bound need hold for the pair or group that is truly the worst: where several are nearly "
        "so, the worst of all their bounds lies farther off, and holds more often than asked.",
        "## Are promises kept?",
        f"Samples of {sizes} rows from {listed(dict.fromkeys(rows['population']), between='; ')}, "
        f"{rows['draw'].nunique()} of each; the default menu and rule at confidence "
        f"{CONFIDENCE:g}, asked for {asked}. Of all {len(together):,} promises "
        f"{together['kept'].mean():.3f} were kept.",
        markdown_table(
            ("criterion", "asked", "promised", "kept", "95 % interval"), _promise_lines(made)
        ),
        f"Kept less often than {KEPT[0]:g} beyond chance: "
        f"{listed(below['criterion']) or 'none'}. A bound that transfer learning keeps in truth is "
        "kept whenever it is promised, so that shares near 1 tell that little was asked; shares of "
        f"fewer than {FEW} promises tell little.",
    ]
    return "\n\n".join(lines) + "\n"


def _interval_line(row: Mapping[Any, Any]) -> tuple[str, ...]:
    shares = (f"{row[name]:.3f}" for name in ("held", "bound_held"))
    return (row["criterion"], row["decisions"], number(row["truth"], 3), *shares)


def _named(outside: pd.DataFrame) -> str:
    told = [
        f"{r['criterion']} ({r['decisions']}: {r['held']:.3f})" for r in outside.to_dict("records")
    ]
    return f"; outside: {listed(told, len(told), between='; ')}" if told else ""


def _promise_lines(made: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    for r in made.to_dict("records"):
        ends = f"{r['low']:.2f} to {r['high']:.2f}" if r["promised"] else ""
        yield r["criterion"], r["asked"], r["promised"], number(r["kept"], 3), ends
