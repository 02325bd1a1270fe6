"""The rows of the result, as CSV and as a page."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks import BENCHMARKS
from benchmarks.measure import Spread, ratio
from evenhand._base.markdown import markdown_table

FASTER = "× faster"
"""The other's time over ours."""
TIMES = "× the time"
"""Our time over the other's."""


@dataclass(frozen=True)
class Row:
    """One measured ratio.

    Attributes:
        benchmark: the name of the benchmark.
        what, against: what was measured, and beside what.
        ratio, low, high: the median over turns, with the extremes, in ``unit``.
        unit: ``FASTER``, ``TIMES``, or that of a plain number, such as ``"MB"``.
        ours, theirs: median seconds.
        bar: such as ``">= 10"``; empty where nothing was promised.
        memory, their_memory: peak extra memory in MB.
        note: what a reader of the number should know.
    """

    benchmark: str
    what: str
    against: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = FASTER
    ours: float | None = None
    theirs: float | None = None
    bar: str = ""
    memory: float | None = None
    their_memory: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar was met; None without one or where nothing was measured."""
        if not self.bar or self.ratio is None:
            return None
        sign, _, number = self.bar.partition(" ")
        return self.ratio >= float(number) if sign == ">=" else self.ratio <= float(number)


def faster(
    benchmark: str, what: str, against: str, ours: list[float], theirs: list[float], **more: object
) -> Row:
    """How many times faster ours is."""
    return _row(benchmark, what, against, ratio(theirs, ours), FASTER, ours, theirs, **more)


def times(
    benchmark: str, what: str, against: str, ours: list[float], theirs: list[float], **more: object
) -> Row:
    """How many times the other's time ours takes."""
    return _row(benchmark, what, against, ratio(ours, theirs), TIMES, ours, theirs, **more)


def _row(
    benchmark: str,
    what: str,
    against: str,
    found: Spread,
    unit: str,
    ours: list[float],
    theirs: list[float],
    **more: object,
) -> Row:
    return Row(
        benchmark,
        what,
        against,
        found.median,
        found.low,
        found.high,
        unit,
        Spread.of(ours).median,
        Spread.of(theirs).median,
        **more,  # type: ignore[arg-type]
    )


def as_csv(rows: Iterable[Row]) -> str:
    """Every field and whether the bar was met, one line a row."""
    text = io.StringIO()
    names = [field.name for field in dataclasses.fields(Row)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, "met"])
    for row in rows:
        values = [getattr(row, name) for name in names]
        shown = [f"{value:.6g}" if isinstance(value, float) else value for value in values]
        writer.writerow([*shown, "" if row.met is None else "yes" if row.met else "no"])
    return text.getvalue()


def from_csv(text: str) -> list[Row]:
    """The rows that :func:`as_csv` wrote, as far as it writes their digits."""
    words = {"benchmark", "what", "against", "unit", "bar", "note"}
    found = []
    for line in csv.DictReader(io.StringIO(text)):
        del line["met"]
        told = {name: value if name in words else _number(value) for name, value in line.items()}
        found.append(Row(**told))  # type: ignore[arg-type]
    return found


def _number(text: str) -> float | None:
    return float(text) if text else None


def as_page(rows: list[Row], machine: str, command: str) -> str:
    """The page with a table for each benchmark."""
    met = [row.met for row in rows if row.met is not None]
    lines = [
        "# Benchmarks",
        "",
        f"Written by `{command}`; do not edit. {machine}",
        "",
        "A ratio is of two times measured in one run, in turns, and then the median over the "
        "turns; the lowest and highest stand beside it. × faster: the other's time over ours. "
        "× the time: ours over the other's. Memory is the peak a process of its own reaches above "
        "its inputs and its libraries.",
        "",
        f"{sum(met)} of {len(met)} bars were met.",
    ]
    for name in dict.fromkeys(row.benchmark for row in rows):
        lines += ["", f"## {name}: {BENCHMARKS[name]}", ""]
        lines += _table([row for row in rows if row.benchmark == name])
    return "\n".join(lines) + "\n"


def _table(rows: list[Row]) -> list[str]:
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    cells = []
    for row in rows:
        mark = f" [{notes.index(row.note) + 1}]" if row.note else ""
        spread = "" if row.low is None else f"{_short(row.low)} – {_short(row.high)}"
        number = "" if row.ratio is None else f"**{_short(row.ratio)}** {row.unit}"
        memory = " / ".join(
            "?" if one is None else f"{one:.0f}" for one in (row.memory, row.their_memory)
        )
        met = "" if row.met is None else "yes" if row.met else "**no**"
        bar = row.bar.replace(">=", "≥").replace("<=", "≤")
        times = (_seconds(row.ours), _seconds(row.theirs), "" if memory == "? / ?" else memory)
        cells.append((row.what, f"{row.against}{mark}", number, spread, *times, bar, met))
    heads = "what, against, ratio, lowest – highest, ours, theirs, memory MB, bar, met"
    lines = [markdown_table(heads.split(", "), cells)]
    if notes:
        lines += ["", *(f"[{number}] {note}" + "  " for number, note in enumerate(notes, 1))]
    return lines


def _short(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
