"""Audit a table of predictions, wherever it is kept."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from evenhand.auditing.request import AuditRequest
from evenhand.auditing.tables.opened import counted
from evenhand.report.about import read_about

if TYPE_CHECKING:
    import pandas as pd

    from evenhand.auditing.result import Audit

WHILE_COUNTING = (
    "evenhand.auditing.judged",
    "evenhand.auditing.terminal_table",
    "pyarrow.compute",
)
"""What follows the counting and loads no engine, so that no two threads import one module."""
IN_MEMORY = "a table in memory"


class AuditOptions(TypedDict, total=False):
    """How decisions are read, counted and judged; see :func:`audit`."""

    threshold: float
    positive: str | None
    weight: str
    weight_kind: str
    cross: bool
    depth: int
    criterion: str
    reference: str | Sequence[str]
    min_count: int
    suppress_below: int
    missing: Sequence[Any]
    delimiter: str | None
    table: str | None
    query: str | None
    join: Sequence[str | Path | pd.DataFrame | Any]
    on: str | Sequence[str]
    encoding: str | None
    fail_above: Mapping[str, float]
    fail_below: Mapping[str, float]
    against: str | Path | pd.DataFrame | Any
    against_prediction: str
    fail_worse: Mapping[str, float]
    by_upper: bool
    about: str | None
    view: str | None
    xlsx: bool
    pdf: bool


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
            not), a folder or pattern of such files, a database (a URL, or a file of DuckDB), the
            bytes of a file, or a table in memory (pandas, polars, Arrow).
        groups: the column or columns of the groups; rows where one is missing count in the error
            only.
        label: the column of what was true; without it there are selection and scoring rates,
            impact ratios and demographic parity.
        prediction: the column of what was decided. Without it, ``score >= threshold`` decides.
        score: the column of scores of the positive class (two classes only): gives the AUC, the
            calibration and the scoring rate of each group.
        options: ``threshold`` (.5): of the score, where there is no prediction. ``positive``: the
            positive class; by default the last of the two in order. ``weight``, ``weight_kind``:
            the column of the rows' weights, and whether a row stands for others that were not seen
            (``"survey"``) or that were (``"frequency"``). ``cross`` (True): with several
            group columns, also audit their crossings, of ``depth`` columns at most (all).
            ``criterion``: what the report shows.
            ``reference``: groups, one for each column, whose selection rate impact ratios are over
            and that every other group is set beside, see ``Audit.comparisons``.
            ``min_count`` (100): cells group × label below it are flagged. ``suppress_below`` (0):
            groups with fewer rows, or a label cell with fewer but some, are not shown.
            ``missing``: words that mean "no value" beside the usual ones. ``delimiter``,
            ``encoding``: of a CSV. ``table``, ``query``: of a database. ``join``, ``on``: other
            files, tables in memory or tables of the database (or of another one, as
            ``postgresql://host/bank#people``) that hold groups or labels, and the
            key columns they are matched by; each decision is counted once.
            ``fail_above``, ``fail_below``, ``by_upper``: the gate, see ``Audit.failures``.
            ``against``, ``against_prediction``: decisions to compare with, of the same columns, and
            ``fail_worse``: how much worse a gap may be than theirs. ``about``, ``view``, ``xlsx``,
            ``pdf``: what the report says and is written as.

    Raises:
        InputError: the file cannot be read, a column is missing or unfit, or a setting cannot be.
        MissingExtraError: a workbook without openpyxl.

    Example:
        >>> found = eh.audit("decisions.csv", label="repaid", prediction="approved", groups="sex")
        >>> found.above({"demographic_parity": 0.5})  # sentences; none where all is within
        []
    """  # noqa: DOC502
    file = str(source) if isinstance(source, str | Path) else None
    told: dict[str, Any] = dict(options)
    other = told.pop("against", None)
    if isinstance(other, str | Path):
        told["against"], other = str(other), None
    elif other is not None:
        told["against"] = IN_MEMORY
    joined = told.pop("join", None) or ()
    joined = [joined] if isinstance(joined, str | Path) or hasattr(joined, "columns") else joined
    told["join"] = [str(j) if isinstance(j, str | Path) else IN_MEMORY for j in joined]
    columns = {"label": label, "groups": groups, "prediction": prediction, "score": score}
    asked = AuditRequest.of(file=file, **columns, **told)
    return audit_of(asked, source, other, joined)


def audit_of(
    asked: AuditRequest,
    source: str | Path | pd.DataFrame | Any = None,
    against: Any = None,
    joined: Sequence[Any] | None = None,
) -> Audit:
    """The audit that is asked for.

    Args:
        asked: the request.
        source: a table in memory, or a file in place of the request's.
        against: the same in place of the request's decisions to compare with.
        joined: the same in place of the tables that the request joins.

    Raises:
        InputError: see :func:`audit`.
        MissingExtraError: a workbook without openpyxl.
    """  # noqa: DOC502
    began, about = time.perf_counter(), read_about(asked.about)
    with ThreadPoolExecutor(1) as engine:
        counting = engine.submit(counted, asked, source, joined)
        judge, *_ = map(import_module, WHILE_COUNTING)  # a fifth of a second
        table, cells = counting.result()
    with closing(table):
        found: Audit = judge.judged(asked, table, cells, about, began)
    if asked.other is None:
        return found
    differences = import_module("evenhand.auditing.against").differences
    before = audit_of(asked.other, source if asked.against is None else against, None, joined)
    return replace(found, against=differences(found, before))
