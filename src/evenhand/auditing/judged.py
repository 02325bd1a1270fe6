"""From the cells of a table to an audit."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.text import listed, visible
from evenhand.auditing.classes import classes_of
from evenhand.auditing.counting import MADE, MISSING, Cells, count_scores
from evenhand.auditing.grouping import Groupings
from evenhand.auditing.request import AuditRequest
from evenhand.auditing.result import Audit
from evenhand.auditing.tables.relation import Relation
from evenhand.errors import InputError
from evenhand.report.about import About


def judged(asked: AuditRequest, table: Relation, cells: Cells, about: About, began: float) -> Audit:
    """What follows from the cells.

    Args:
        asked: the request.
        table: what was counted, still open.
        cells: of it.
        about: what its owner tells of it.
        began: when, by the performance counter.

    Raises:
        InputError: no row has all that is needed, or the classes do not fit.
    """
    missing = {column: codes == MISSING for column, codes in cells.codes.items() if column != MADE}
    if asked.score is not None:
        missing[asked.score] = cells.unscored
    needed = [c for c in (asked.label, asked.prediction, asked.score) if c is not None]
    usable = ~np.logical_or.reduce([missing[column] for column in needed])
    if not usable.any():
        raise InputError(f"no row has all of {listed([visible(c) for c in asked.columns])}")
    deciding = [c for c in (asked.label, asked.prediction) if c is not None]
    classes = classes_of(
        {column: cells.names[column] for column in deciding},
        positive=asked.positive,
        scored=asked.score is not None,
    )
    groupings = Groupings(asked, cells, usable, classes)
    scores = None if asked.score is None else count_scores(table, asked, cells)
    outside = int(cells.outside[usable].sum())
    dropped = {column: int(cells.rows[absent].sum()) for column, absent in missing.items()}
    return Audit(
        parts=tuple(groupings.by(span, scores, calibrated=not outside) for span in asked.spans),
        classes=classes.names,
        rows=int(cells.rows.sum()),
        missing={column: dropped[column] for column in asked.columns if dropped.get(column)},
        used=int(cells.rows[usable].sum()),
        request=asked,
        scores_exact=scores is None or scores.exact,
        scores_outside=outside,
        notes=(*table.notes, *classes.notes, *_weighted(asked, cells, usable)),
        apart=classes.apart,
        about=about,
        provenance=_provenance(table, time.perf_counter() - began),
    )


def _weighted(asked: AuditRequest, cells: Cells, usable: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    """What weighted rows come to, in a sentence; none without weights.

    Raises:
        InputError: the rows that can be used have no weight.
    """
    if cells.weights is None or cells.squares is None:
        return ()
    total, squares = cells.weights[usable].sum(), cells.squares[usable].sum()
    if not total:
        raise InputError(
            f"weight column {visible(asked.weight or '')!r} is zero in all rows that can be used"
        )
    return (
        f"rows are weighted by {visible(asked.weight or '')}: "
        f"{int(cells.rows[usable].sum()):,} rows are as sure as {total**2 / squares:,.0f} of equal "
        "weight, and counts are of those",
    )


def _provenance(table: Relation, seconds: float) -> dict[str, Any]:
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "duckdb": version("duckdb"),
    }
    return table.made_from() | {"versions": versions, "seconds": round(seconds, 2)}
