"""Audit a file or a table of predictions, streamed."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd

import evenhand.auditing.scores as score_views
from evenhand._base.text import listed, visible
from evenhand.auditing.classes import classes_of
from evenhand.auditing.counting import MISSING, Coder, Ints, ScoreTally, Tally
from evenhand.auditing.grouping import Grouping
from evenhand.auditing.request import AuditRequest
from evenhand.auditing.result import Audit
from evenhand.auditing.source import chunks, opened
from evenhand.errors import InputError
from evenhand.metrics.counts import Counts
from evenhand.tasks.missing import Missing
from evenhand.tasks.table_file import TableFile

MOST_NUMBERS = 20_000_000
"""Counts that a grouping may need."""


class AuditOptions(TypedDict, total=False):
    """How decisions are read, counted and judged; see :func:`audit`."""

    threshold: float
    positive: str | None
    cross: bool
    criterion: str
    min_count: int
    suppress_below: int
    missing: Sequence[Any]
    delimiter: str | None
    encoding: str | None
    fail_above: Mapping[str, float]
    by_upper: bool


def audit(
    source: str | Path | pd.DataFrame | Any,
    *,
    groups: str | Sequence[str],
    label: str | None = None,
    prediction: str | None = None,
    score: str | None = None,
    **options: Unpack[AuditOptions],
) -> Audit:
    """Count how decisions made elsewhere fall on groups.

    Args:
        source: a file that tables are read from (CSV, Parquet, Arrow, JSON lines, Excel; packed or
            not), or a table in memory.
        groups: the column or columns of the groups; rows where one is missing count in the error
            only.
        label: the column of what was true.
        prediction: the column of what was decided. Without it, ``score >= threshold`` decides.
        score: the column of scores of the positive class (two classes only): gives the AUC, the
            calibration and the scoring rate of each group.
        options: ``threshold`` (.5): of the score, where there is no prediction. ``positive``: the
            positive class; by default the last of the two in order. ``cross`` (True): with several
            group columns, also audit their crossings. ``criterion``: what the report shows.
            ``min_count`` (100): cells group × label below it are flagged. ``suppress_below`` (0):
            groups with fewer rows, or a label cell with fewer but some, are not shown.
            ``missing``: words that mean "no value" beside the usual ones. ``delimiter``,
            ``encoding``: of a CSV. ``fail_above``, ``by_upper``: the gate, see ``Audit.failures``.

    Raises:
        InputError: the file cannot be read, a column is missing or unfit, or a setting cannot be.
        MissingExtraError: a workbook without openpyxl.

    Example:
        >>> found = eh.audit("decisions.csv", label="repaid", prediction="approved", groups="sex")
        >>> found.above({"demographic_parity": 0.5})  # sentences; none where all is within
        []
    """
    file = str(source) if isinstance(source, str | Path) else None
    columns = {"label": label, "groups": groups, "prediction": prediction, "score": score}
    return audit_of(AuditRequest.of(file=file, **columns, **options), source)


def audit_of(asked: AuditRequest, source: str | Path | pd.DataFrame | Any = None) -> Audit:
    """The audit that is asked for.

    Args:
        asked: the request.
        source: a table in memory, or a file in place of the request's.

    Raises:
        InputError: see :func:`audit`.
        MissingExtraError: a workbook without openpyxl.
    """
    began = time.perf_counter()
    label, prediction, score, names = asked.label, asked.prediction, asked.score, list(asked.groups)
    if label is None:
        raise InputError("an audit needs a label column")
    wanted = list(asked.columns)
    coders = {c: Coder(c, "group") for c in names} | {label: Coder(label, "label")}
    if prediction is not None:
        coders[prediction] = Coder(prediction, "prediction")
    tally, scored, dropped, rows = Tally(), ScoreTally(), dict.fromkeys(wanted, 0), 0
    outside = 0
    table = opened(asked, source)
    missing_words = Missing(asked.missing)
    for chunk in chunks(table, wanted, score, missing_words):
        codes = {c: coder(*chunk[c]) for c, coder in coders.items()}
        values = None if score is None else chunk[score][0]
        if prediction is not None:
            decided = codes[prediction]
        elif values is not None:
            decided = (values >= values.dtype.type(asked.threshold)).astype(np.int64)
        rows += len(decided)
        missing = {label: codes[label] == MISSING}
        if prediction:
            missing[prediction] = decided == MISSING
        if score is not None and values is not None:
            missing[score] = np.isnan(values)
        usable = np.ones(len(decided), dtype=bool)
        for column, absent in missing.items():
            dropped[column] += int(absent.sum())
            usable &= ~absent
        for column in names:
            dropped[column] += int((codes[column] == MISSING).sum())
        if not usable.any():
            continue
        parts = [codes[c][usable] for c in names] + [codes[label][usable], decided[usable]]
        scores = None if values is None else values[usable].astype(np.float64)
        tally.add(parts, scores)
        if scores is not None:
            outside += int(((scores < 0) | (scores > 1)).sum())
            scored.add(score_views.cell_of(parts[:-1]), scores)
    scored.settle()
    if not len(tally.rows):
        raise InputError(f"no row has all of {listed([visible(c) for c in wanted])}")
    deciding = [label] + ([prediction] if prediction else [])
    found_classes = classes_of(
        {column: coders[column].names for column in deciding},
        positive=asked.positive,
        scored=score is not None,
    )
    classes, maps = found_classes.names, found_classes.of_codes
    spans = [(name,) for name in names] + ([tuple(names)] if asked.cross and len(names) > 1 else [])
    found = [
        _part(span, names, tally, coders, classes, maps, scored if score else None)
        for span in spans
    ]
    if outside:
        for part in found:
            part.values["calibration"][:] = np.nan
    return Audit(
        parts=tuple(found),
        classes=classes,
        rows=rows,
        missing={c: n for c, n in dropped.items() if n},
        used=int(tally.rows.sum()),
        request=asked,
        scores_exact=scored.exact,
        scores_outside=outside,
        notes=(*table.notes, *found_classes.notes),
        apart=found_classes.apart,
        provenance=_provenance(table, time.perf_counter() - began),
    )


def _part(
    span: tuple[str, ...],
    names: list[str],
    tally: Tally,
    coders: dict[str, Coder],
    classes: tuple[str, ...],
    maps: dict[str, Ints],
    scored: ScoreTally | None,
) -> Grouping:
    """The counts of one group column, or of a crossing."""
    at = [names.index(name) for name in span]
    group_keys = tally.keys[:, at]
    known = (group_keys != MISSING).all(axis=1)
    present, codes = np.unique(group_keys[known], axis=0, return_inverse=True)
    texts = [
        " × ".join(coders[c].names[k] for c, k in zip(span, row, strict=True)) for row in present
    ]
    order = np.argsort(np.array(texts, dtype=object), kind="stable")
    rank = np.empty(len(texts), dtype=np.int64)
    rank[order] = np.arange(len(texts))
    group = np.full(len(tally.keys), len(texts), dtype=np.int64)
    group[known] = rank[codes.reshape(-1)]
    label, *_ = maps
    y = maps[label][tally.keys[:, -2]]
    p = maps[list(maps)[1]][tally.keys[:, -1]] if len(maps) > 1 else tally.keys[:, -1]
    k = len(classes)
    if (len(texts) + 1) * k * k > MOST_NUMBERS:
        raise InputError(
            f"{len(texts):,} groups of {' × '.join(span)} and {k:,} classes are "
            f"{len(texts) * k * k:,} counts: too many to judge; join groups or classes first"
        )
    table = np.zeros((len(texts) + 1, k, k))
    np.add.at(table, (group, y, p), tally.rows)
    whole = table.astype(np.int64)
    counts = Counts(
        whole[:-1], whole[-1], tuple(texts[i] for i in order), classes, " × ".join(span)
    )
    if scored is None:
        return Grouping(counts, {}, None)
    sums = np.bincount(group, tally.sums, minlength=len(texts) + 1)[:-1]
    rows, positives = counts.sizes, counts.cells[:, 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        calibration = (sums - positives) / rows
    cells = score_views.cell_of([tally.keys[:, i] for i in range(len(names) + 1)])
    auc, above = score_views.by_group(scored, cells, group, y, len(texts))
    return Grouping(counts, {"auc": auc, "calibration": calibration}, above)


def _provenance(table: TableFile, seconds: float) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if table.digest is not None:
        made = {"file": Path(table.label).name, "bytes": table.size, "sha256": table.digest}
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    return made | {"versions": versions | {"pandas": pd.__version__}, "seconds": round(seconds, 2)}
