"""The files a run leaves: results.csv, result.json and report.html."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.files import write_atomically
from evenhand._base.text import as_json, frame_to_csv
from evenhand.criteria import STANDARD
from evenhand.metrics.counts import Counts
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import Interval, error_interval
from evenhand.metrics.undefined import partial_gap, why_undefined
from evenhand.report import html
from evenhand.report.record import Record, Run, results_frame

SCHEMA = "evenhand.result/1"
"""What a document is written by; see docs/reference/result.schema.json."""


def write_run(run: Run, folder: str | Path) -> dict[str, Path]:
    """Write results.csv, result.json and report.html into ``folder``, each whole or not at all.

    Returns:
        The paths by file name.

    Raises:
        InputError: the folder cannot be written.
    """  # noqa: DOC502
    folder = Path(folder)
    content = {
        "results.csv": frame_to_csv(results_frame(run.records)),
        "result.json": to_json(run),
        "report.html": html.render(run),
    }
    return {name: write_atomically(folder / name, text) for name, text in content.items()}


def to_json(run: Run) -> str:
    """The run as JSON: an undefined number is null; counts are written with their names."""
    document = {
        "schema": SCHEMA,
        "time": run.made,
        "command": run.command,
        "asked": run.asked,
        "decided": run.decided,
        "criterion": run.criterion,
        "promised": run.promised,
        "counted": run.counted,
        "before": _record(run.before, run),
        "after": _record(run.after, run) if run.after else None,
        "records": [record.row() for record in run.records],
        "frontier": [vars(point) for point in run.frontier],
        "tables": [
            {"title": title, "note": note, "rows": frame.to_dict(orient="records")}
            for title, note, frame in run.tables
        ],
        "warnings": run.warnings,
        "provenance": run.provenance,
        "config": run.config,
    }
    return as_json(plain(document)) + "\n"


def _record(record: Record, run: Run) -> dict[str, Any]:
    told = dict.fromkeys((*STANDARD, *run.criteria))
    intervals: dict[str, Any] = {"error": error_interval(record.counts)}
    for criterion in told:
        gap = gap_interval(record.counts, criterion)
        intervals[criterion.value] = gap
        if why_undefined(record.counts, criterion):
            least = float(partial_gap(record.counts.table, criterion))
            intervals[criterion.value] = gap._asdict() | {"at_least": least}
    return record.row() | {
        "notes": record.notes,
        "intervals": intervals,
        "counts": record.counts,
        "group_values": record.group_values,
    }


def plain(value: Any) -> Any:
    """``value`` in JSON's own types; NaN and infinities become null."""
    if isinstance(value, Interval):
        return {k: plain(v) for k, v in value._asdict().items()}
    if isinstance(value, Counts):
        return {
            "attribute": value.attribute,
            "groups": list(value.group_names),
            "classes": list(value.class_names),
            "axes": ["group", "label", "prediction"],
            "table": plain(value.table),
            "unknown": plain(value.unknown),
            **({} if value.squares is None else {"weight_squares": plain(value.squares)}),
        }
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, pd.DataFrame):
        return plain(value.to_dict(orient="records"))
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if value is None or value is pd.NA:
        return None
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    return str(value)
