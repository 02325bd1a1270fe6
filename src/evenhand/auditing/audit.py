"""Audit a file or a table of predictions, streamed."""

from __future__ import annotations

import difflib
import hashlib
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd

import evenhand.auditing.scores as score_views
from evenhand._base.options import with_defaults
from evenhand._base.text import listed, visible
from evenhand.auditing.counting import MISSING, Coder, Ints, ScoreTally, Tally
from evenhand.auditing.grouping import Grouping
from evenhand.auditing.result import Audit
from evenhand.auditing.source import CHUNK_ROWS, chunks
from evenhand.errors import InputError
from evenhand.metrics.counts import Counts

MOST_GROUP_COLUMNS = 4


class AuditOptions(TypedDict, total=False):
    """How decisions are counted and shown; see :func:`audit`."""

    threshold: float
    positive: str | None
    cross: bool
    min_count: int
    suppress_below: int
    chunk_rows: int


OPTIONS: dict[str, Any] = {
    "threshold": 0.5,
    "positive": None,
    "cross": True,
    "min_count": 100,
    "suppress_below": 0,
    "chunk_rows": CHUNK_ROWS,
}


def audit(
    source: str | Path | pd.DataFrame,
    *,
    label: str,
    groups: str | Sequence[str],
    prediction: str | None = None,
    score: str | None = None,
    **options: Unpack[AuditOptions],
) -> Audit:
    """Count how decisions made elsewhere fall on groups.

    The rows are streamed: memory holds the counts, never the file.

    Args:
        source: a CSV file (comma, semicolon, tab or bar; UTF-8), a Parquet file or a DataFrame.
        label: the column of what was true.
        groups: the column or columns of the groups; rows where one is missing count in the error
            only.
        prediction: the column of what was decided. Without it, ``score >= threshold`` decides.
        score: the column of scores of the positive class (two classes only): gives the AUC, the
            calibration and the scoring rate of each group.
        options: ``threshold`` (.5): of the score, where there is no prediction. ``positive``: the
            positive class; by default the last of the two in order. ``cross`` (True): with several
            group columns, also audit their crossings. ``min_count`` (100): cells group × label
            below it are flagged. ``suppress_below`` (0): groups with fewer rows, or a label cell
            with fewer but some, are not shown. ``chunk_rows``: how many rows are read at a time.

    Raises:
        InputError: the file cannot be read, a column is missing or unfit, or a setting cannot be.
        MissingExtraError: a Parquet file without pyarrow.

    Example:
        >>> found = eh.audit("decisions.csv", label="repaid", prediction="approved", groups="sex")
        >>> found.above({"demographic_parity": 0.5})  # sentences; none where all is within
        []
    """
    began = time.perf_counter()
    how = with_defaults(OPTIONS, options, "audit")
    threshold, positive, cross = how["threshold"], how["positive"], how["cross"]
    min_count, suppress_below = how["min_count"], how["suppress_below"]
    chunk_rows = how["chunk_rows"]
    _check_settings(threshold, min_count, suppress_below, chunk_rows)
    columns = _columns(label, groups, prediction, score)
    names = columns["groups"]
    wanted = [c for c in (label, *names, prediction, score) if c is not None]
    coders = {c: Coder(c, "group") for c in names} | {label: Coder(label, "label")}
    if prediction is not None:
        coders[prediction] = Coder(prediction, "prediction")
    tally, scored, dropped, rows = Tally(), ScoreTally(), dict.fromkeys(wanted, 0), 0
    outside = 0
    for chunk in chunks(source, wanted, score, chunk_rows):
        codes = {c: coder(*chunk[c]) for c, coder in coders.items()}
        values = None if score is None else chunk[score][0]
        if prediction is not None:
            decided = codes[prediction]
        else:
            decided = np.asarray(np.asarray(values) >= threshold).astype(np.int64)
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
        tally.add(parts, None if values is None else values[usable])
        if values is not None:
            outside += int(((values[usable] < 0) | (values[usable] > 1)).sum())
            scored.add(score_views.cell_of(parts[:-1]), values[usable])
    scored.settle()
    if not len(tally.rows):
        raise InputError(f"no row has all of {listed([visible(c) for c in wanted])}")
    classes, maps = _classes(coders, label, prediction, positive, score is not None)
    spans = [(name,) for name in names] + ([tuple(names)] if cross and len(names) > 1 else [])
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
        columns=columns,
        threshold=None if prediction else threshold,
        min_count=min_count,
        suppress_below=suppress_below,
        scores_exact=scored.exact,
        scores_outside=outside,
        provenance=_provenance(source, time.perf_counter() - began),
    )


def _check_settings(threshold: float, min_count: int, suppress_below: int, chunk_rows: int) -> None:
    if not np.isfinite(threshold):
        raise InputError(f"the threshold of a score must be finite, found {threshold}")
    for name, value, least in (
        ("min_count", min_count, 0),
        ("suppress_below", suppress_below, 0),
        ("chunk_rows", chunk_rows, 1),
    ):
        if not value >= least:
            raise InputError(f"{name} must be at least {least}, found {value}")


def _columns(
    label: str, groups: str | Sequence[str], prediction: str | None, score: str | None
) -> dict[str, Any]:
    names = [groups] if isinstance(groups, str) else list(groups)
    if not names:
        raise InputError("an audit needs at least one group column")
    if len(set(names)) < len(names):
        raise InputError(f"a group column is named twice: {listed(names)}")
    if len(names) > MOST_GROUP_COLUMNS:
        raise InputError(f"at most {MOST_GROUP_COLUMNS} group columns, found {len(names)}")
    if prediction is None and score is None:
        raise InputError("an audit needs a prediction column, a score column or both")
    given = [c for c in (label, prediction, score) if c is not None]
    if len(set(given)) < len(given):
        raise InputError(f"label, prediction and score must be different columns: {listed(given)}")
    if score in names:
        raise InputError(f"{visible(score)!r} cannot be both a score and a group column")
    return {"label": label, "prediction": prediction, "score": score, "groups": names}


def _order(names: set[str]) -> list[str]:
    """Numbers by value, texts by letter."""
    try:
        return sorted(names, key=float)
    except ValueError:
        return sorted(names)


def _classes(
    coders: dict[str, Coder],
    label: str,
    prediction: str | None,
    positive: str | None,
    scored: bool,
) -> tuple[tuple[str, ...], dict[str, Ints]]:
    """The class names, and the class of every code of the label and the prediction."""
    columns = [label] + ([prediction] if prediction else [])
    named = {c: coders[c].names for c in columns}
    every = {name for names in named.values() for name in names}
    if every <= {"0", "1", "True", "False"} and {"0", "1"} & every and {"True", "False"} & every:
        named = {c: [{"True": "1", "False": "0"}.get(n, n) for n in v] for c, v in named.items()}
        positive = {"True": "1", "False": "0"}.get(positive or "", positive)
        every = {name for names in named.values() for name in names}
    if len(every) == 1 and every <= {"0", "1"}:
        every = {"0", "1"}
    if positive is not None and positive not in every and len(every) > 1:
        near = difflib.get_close_matches(positive, every, n=1)
        hint = f" Did you mean {visible(near[0])!r}?" if near else ""
        raise InputError(
            f"there is no class {visible(positive)!r}; the classes are "
            f"{listed([visible(n) for n in _order(every)])}.{hint}"
        )
    if positive is not None:
        every |= {positive}
    if len(every) == 1:
        raise InputError(
            f"column {visible(label)!r} holds one class only, {visible(*every)!r}: "
            "name the other with positive (--positive)"
        )
    order = _order(every)
    if len(order) > 2 and (scored or positive is not None):
        what = "a score column" if scored else "a positive class"
        raise InputError(
            f"{what} is for two classes, found {len(order)}: {listed([visible(n) for n in order])}"
        )
    if positive is not None:
        order.sort(key=lambda name: name == positive)
    place = {name: i for i, name in enumerate(order)}
    maps = {c: np.array([place[n] for n in v], dtype=np.int64) for c, v in named.items()}
    return tuple(order), maps


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


def _provenance(source: str | Path | pd.DataFrame, seconds: float) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if not isinstance(source, pd.DataFrame):
        path = Path(source)
        with path.open("rb") as file:
            made["file"] = path.name
            made["bytes"] = path.stat().st_size
            made["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    return made | {"versions": versions | {"pandas": pd.__version__}, "seconds": round(seconds, 2)}
