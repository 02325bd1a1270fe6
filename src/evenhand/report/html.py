"""report.html: one self-contained page that a person can read, print and check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.files import write_atomically
from evenhand._base.text import number
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import Interval, error_interval
from evenhand.report import changed, charts
from evenhand.report.about import About
from evenhand.report.environment import environment
from evenhand.report.group_table import RATES, group_table, score_columns
from evenhand.report.record import Record, Run
from evenhand.report.uncertainty import LIMITS, doubts
from evenhand.report.views import Point, asked_bound, bars, candidates, points

HEADINGS = {
    "base_rate": "Base rate",
    "selection_rate": "Selection rate",
    "tpr": "TPR",
    "fpr": "FPR",
    "precision": "Precision",
    "accuracy": "Accuracy",
}


TITLES = {
    "finetune": "Fine-tuning report",
    "compare": "Comparison report",
}


MOST_ROWS = 150


def render(run: Run) -> str:
    """The report of ``run`` as one HTML page: no network, no fonts, readable without scripts.

    Every text that comes from data is escaped, and control characters are written out.
    """
    label, drawn = bars(run)
    frontier, about = _frontier(run), About.of(run.config.get("about") or {})
    page = environment().get_template("report.html.j2")
    return page.render(
        run=run,
        about=about,
        title=TITLES.get(run.command, "Report"),
        symbol=run.criterion.symbol,
        meaning=run.criterion.meaning,
        summary=_summary(run),
        people=changed.sentences(run),
        label=label,
        bars=drawn,
        bar_limit=_bar_limit(drawn),
        undrawn=len(run.before.counts.group_names) > len({b.group for b in drawn}),
        frontier=frontier,
        tables=_group_tables(run),
        extra=[(title, note, _plain_table(frame)) for title, note, frame in run.tables],
        notes=[
            (*record.key, note)
            for record in _distinct(run.records)
            for note in record.notes
            if f"{record.method}: {note}" not in run.warnings
        ],
        doubts=doubts(run),
        limits=LIMITS,
        provenance=_flat(run.provenance),
        config=_flat({key: value for key, value in run.config.items() if key != "about"}),
        script=_script_data(run, frontier, _bar_limit(drawn)),
    )


def write(run: Run, path: str | Path) -> Path:
    """Write the report of ``run`` to ``path``, whole or not at all, readable by its owner only.

    Raises:
        InputError: the folder cannot be written.
    """  # noqa: DOC502
    return write_atomically(path, render(run))


def _summary(run: Run) -> list[dict[str, Any]]:
    """The headline figures before and after."""
    wanted = [("Before", run.before), ("After", run.after)]
    figures = []
    for name, record in wanted:
        if record is None:
            continue
        figures.append(
            {
                "name": name,
                "model": f"{record.method} {record.setting}",
                "error": error_interval(record.counts),
                "gap": gap_interval(record.counts, run.criterion),
                "accuracy": record.accuracy / 100,
            }
        )
    return figures


def _bar_limit(drawn: list[Any]) -> float:
    """The right end of the rates' axis: the whole range, or the part that is used."""
    highs = [i.high for bar in drawn for i in (bar.before, bar.after) if i and np.isfinite(i.high)]
    most = max(highs, default=1.0)
    return next((limit for limit in (0.1, 0.2, 0.25, 0.5) if most <= limit), 1.0)


def _frontier(run: Run) -> dict[str, Any] | None:
    """Where everything in the trade-off chart stands; None where there is nothing to trade."""
    shown = [
        p for p in points(run) if np.isfinite(p.gap.estimate) and np.isfinite(p.error.estimate)
    ]
    path = candidates(run)
    if len(shown) + len(path) < 2:
        return None
    bound = asked_bound(run)
    gaps = charts.capped([p.gap for p in shown]) + [c["x"] for c in path]
    gaps += [c["upper"] for c in path]
    errors = charts.capped([p.error for p in shown]) + [c["y"] for c in path]
    x = charts.axis([*gaps, *([bound] if bound is not None else [])], 15, 97, least=0.0)
    y = charts.axis(errors, 86, 4)
    methods = list(dict.fromkeys(p.method for p in shown))
    shapes = {method: charts.mark(i) for i, method in enumerate(methods)}
    return {
        "points": [_placed(p, x, y, *shapes[p.method]) for p in shown],
        "legend": [(method, *shapes[method]) for method in methods],
        "path": [c | {"cx": x.at(c["x"]), "cy": y.at(c["y"])} for c in path],
        **_curve([c for c in path if not c["measured"]], x, y),
        "measured": any(c["measured"] for c in path),
        "xticks": x.ticks(),
        "yticks": y.ticks(),
        "bound": bound,
        "bound_at": None if bound is None else x.at(bound),
        "x": x,
        "paths": charts.PATHS,
        "several": any(p.seeds > 1 for p in shown),
    }


def _curve(path: list[dict[str, Any]], x: charts.Axis, y: charts.Axis) -> dict[str, str]:
    """The least error that the cross-fitted candidates reach at each gap, and its band.

    The band goes from the gap as it was counted to its upper bound.
    """
    best: list[dict[str, Any]] = []
    for candidate in sorted(path, key=lambda c: (c["x"], c["y"])):
        if not best or candidate["y"] < best[-1]["y"]:
            best.append(candidate)
    line = [(x.at(c["x"]), y.at(c["y"])) for c in best]
    edge = [(x.at(max(c["upper"], c["x"])), y.at(c["y"])) for c in best]
    return {
        "curve": " ".join(f"{a},{b}" for a, b in line) if len(line) > 1 else "",
        "band": " ".join(f"{a},{b}" for a, b in [*line, *edge[::-1]]) if len(line) > 1 else "",
    }


def _placed(
    point: Point, x: charts.Axis, y: charts.Axis, shape: str, colour: str
) -> dict[str, Any]:
    def end(interval: Interval, name: str) -> float:
        value = float(getattr(interval, name))
        return value if np.isfinite(value) else interval.estimate

    ends = ("low", "high")
    return {
        "point": point,
        "cx": x.at(point.gap.estimate),
        "cy": y.at(point.error.estimate),
        "shape": shape,
        "colour": colour,
        **{f"gap_{name}": x.at(end(point.gap, name)) for name in ends},
        **{f"error_{name}": y.at(end(point.error, name)) for name in ends},
    }


def _script_data(run: Run, frontier: dict[str, Any] | None, limit: float) -> dict[str, Any]:
    """What the slider needs: the candidates, and the axes they are drawn on."""
    if frontier is None or len(frontier["path"]) < 2 or run.criterion.kind == "level":
        return {}  # the slider is of bounds from above
    path = frontier["path"]
    uppers = [c["upper"] for c in path]
    axis = frontier["x"]
    bound = frontier["bound"]
    low, high = min(uppers), max([*uppers, bound or 0.0])
    chosen = next((c["upper"] for c in path if c["chosen"]), None)
    start = bound if bound is not None else chosen
    return {
        "path": path,
        "axis": [axis.low, axis.high, axis.start, axis.end],
        "limit": limit,
        "low": round(max(0.0, low - 0.02), 3),
        "high": round(high + 0.005, 3),
        "start": None if start is None else round(start, 4),
        "symbol": run.criterion.symbol,
        "measured": frontier["measured"],
    }


def _group_tables(run: Run) -> list[dict[str, Any]]:
    """The group tables: of the chosen model, and of the one before."""
    if run.after is None:
        wanted = [("", run.before)]
    else:
        wanted = [
            (f"After: {run.after.method}", run.after),
            (f"Before: {run.before.method}", run.before),
        ]
    return [_group_rows(title, record, run) for title, record in wanted]


def _group_rows(title: str, record: Record, run: Run) -> dict[str, Any]:
    values = score_columns(record, run)
    frame = group_table(record.counts, values)
    many = frame["class"].nunique() > 1
    rows = []
    for entry in frame.head(MOST_ROWS).to_dict(orient="records"):
        rows.append(
            {
                "group": entry["group"],
                "class": entry["class"] if many else None,
                "rows": entry["rows"],
                "positives": entry["positives"],
                "rates": [
                    (HEADINGS[n], entry[n], (entry[n], entry[f"{n}_low"], entry[f"{n}_high"]))
                    for n in RATES
                ],
                "values": [(name, entry[name]) for name in values],
            }
        )
    return {
        "title": title,
        "attribute": record.counts.attribute,
        "many": many,
        "classes": record.counts.class_names,
        "values": list(values),
        "rows": rows,
        "left": len(frame) - len(rows),
    }


def _plain_table(frame: pd.DataFrame) -> dict[str, Any]:
    """A further table as text."""

    def shown(value: Any) -> str:
        if isinstance(value, float | np.floating):
            return number(float(value), 3)
        if isinstance(value, int | np.integer):
            return f"{int(value):,}"
        return str(value)

    cells = [[shown(v) for v in row] for row in frame.head(MOST_ROWS).itertuples(index=False)]
    numeric = [pd.api.types.is_numeric_dtype(frame[c]) for c in frame.columns]
    return {
        "columns": list(zip(map(str, frame.columns), numeric, strict=True)),
        "rows": [list(zip(row, numeric, strict=True)) for row in cells],
        "left": len(frame) - len(cells),
    }


def _distinct(records: tuple[Record, ...]) -> list[Record]:
    seen: dict[tuple[str, str], Record] = {}
    for record in records:
        seen.setdefault(record.key, record)
    return list(seen.values())


def _flat(mapping: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A nested mapping as (dotted name, text) pairs."""
    pairs: list[tuple[str, str]] = []
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            pairs += _flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            pairs.append((name, ", ".join(str(item) for item in value)))
        else:
            pairs.append((name, "" if value is None else str(value)))
    return pairs
