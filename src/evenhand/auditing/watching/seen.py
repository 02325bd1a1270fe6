"""New decisions counted by the groups and classes of the run that is watched."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.names import CROSSED
from evenhand._base.text import listed, visible
from evenhand.auditing.classes import classes_of
from evenhand.auditing.counting import MISSING, Cells
from evenhand.auditing.request import AuditRequest
from evenhand.auditing.tables.opened import counted
from evenhand.auditing.tables.relation import MissingColumnError
from evenhand.auditing.watching.promised import Promised
from evenhand.auditing.watching.request import WatchRequest
from evenhand.errors import InputError

DRIFT = ".drift.json"
"""What ``evenhand predict`` adds to the name of a file for what it saw."""
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Seen:
    """What one look brought.

    Attributes:
        decided: (G, K) how often each class was decided in each group.
        labelled: (G, K, K) the same by label, of the rows that have one.
        left_out: rows without a decision, or of no group that the run knows.
        rows: how many there were.
        source: what they were read from.
        notes: what was read as the same, or left out.
        by_predict: shares of missing and of new values, where ``evenhand predict`` wrote the file.
    """

    decided: Ints
    labelled: Ints
    left_out: int
    rows: int
    source: dict[str, Any]
    notes: tuple[str, ...]
    by_predict: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)


def see(source: Any, promised: Promised, asked: WatchRequest) -> Seen:
    """Count new decisions.

    Raises:
        MissingColumnError: a column that was named is not there.
        InputError: no such table, a column that is unfit, or classes that are not the
            run's.
    """  # noqa: DOC502
    told = {
        "groups": promised.columns,
        "prediction": promised.prediction,
        "missing": asked.missing,
        "delimiter": asked.delimiter,
        "encoding": asked.encoding,
        "table": asked.table,
        "query": asked.query,
        "join": asked.join,
        "on": asked.on,
    }
    label = promised.label
    try:
        table, cells = counted(AuditRequest.of(**told, label=label), source)
    except MissingColumnError as error:
        if error.column != label or label in promised.given:
            raise
        label = None  # labels may come late, or never
        table, cells = counted(AuditRequest.of(**told), source)
    with closing(table):
        found = _seen(cells, label, promised, (*table.notes,), table.made_from())
    return replace(found, by_predict=_by_predict(source))


def _by_predict(source: Any) -> dict[str, dict[str, dict[str, float]]]:
    """The shares in the file that ``evenhand predict`` leaves beside what it decided.

    Raises:
        InputError: it is there and cannot be read.
    """
    path = Path(f"{source}{DRIFT}") if isinstance(source, str | Path) else None
    try:
        if path is None or not path.is_file():
            return {}
    except (OSError, ValueError):
        return {}
    try:
        columns = json.loads(path.read_text(encoding="utf-8"))["columns"]
        missing = {
            str(name): {
                "now": round(float(shares["missing"]), 6),
                "then": round(float(shares["missing in the run's training rows"]), 6),
            }
            for name, shares in columns.items()
        }
        unseen = {
            str(name): {"now": round(float(shares["unseen"]), 6), "then": 0.0}
            for name, shares in columns.items()
            if "unseen" in shares
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{visible(path)} is damaged: write it again by evenhand predict"
        ) from error
    return {what: found for what, found in (("missing", missing), ("unseen", unseen)) if found}


def _seen(
    cells: Cells,
    label: str | None,
    promised: Promised,
    notes: tuple[str, ...],
    source: dict[str, Any],
) -> Seen:
    group = _groups(cells, promised)
    decision, said = _classes(cells, promised.prediction, promised)
    truth = np.full(len(cells.rows), MISSING)
    if label is not None:
        truth, more = _classes(cells, label, promised)
        said += more
    g, k = len(promised.groups), len(promised.classes)
    decided, labelled = np.zeros((g, k), np.int64), np.zeros((g, k, k), np.int64)
    known = (group != MISSING) & (decision != MISSING)
    np.add.at(decided, (group[known], decision[known]), cells.rows[known])
    whole = known & (truth != MISSING)
    np.add.at(labelled, (group[whole], truth[whole], decision[whole]), cells.rows[whole])
    rows = int(cells.rows.sum())
    left_out = rows - int(decided.sum())
    return Seen(decided, labelled, left_out, rows, source, (*notes, *said))


def _groups(cells: Cells, promised: Promised) -> Ints:
    """(n,) the run's number of the group of every cell, -1 where it knows none."""
    place = {name: at for at, name in enumerate(promised.groups)}
    codes = [cells.codes[column] for column in promised.columns]
    names = [[*cells.names[column], None] for column in promised.columns]
    found = np.full(len(cells.rows), MISSING)
    for at, row in enumerate(zip(*codes, strict=True)):
        words = [names[column][code] for column, code in enumerate(row)]
        if None not in words:
            found[at] = place.get(CROSSED.join(map(str, words)), MISSING)
    return found


def _classes(cells: Cells, column: str, promised: Promised) -> tuple[Ints, tuple[str, ...]]:
    """(n,) the run's number of the class of every cell by a column, and what was read as it."""
    of_run = list(promised.classes)
    names = cells.names[column]
    if not names:
        return cells.codes[column], ()
    found = classes_of({"the run": of_run, column: names}, positive=None, scored=False)
    strange = [name for name in found.names if name not in of_run]
    if strange or found.apart:
        raise InputError(
            f"column {visible(column)!r} holds {listed([visible(n) for n in strange])}: the run's "
            f"classes are {listed([visible(n) for n in of_run])}"
        )
    place = np.array([of_run.index(found.names[code]) for code in found.of_codes[column]])
    return np.append(place, MISSING)[cells.codes[column]], found.notes
