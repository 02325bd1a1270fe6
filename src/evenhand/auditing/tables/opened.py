"""From what a user names to the relation that is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evenhand._base.text import visible
from evenhand.auditing.counting import Cells, count
from evenhand.auditing.request import AuditRequest
from evenhand.auditing.tables.by_batches import in_batches
from evenhand.auditing.tables.by_engine import engine_reads
from evenhand.auditing.tables.parts import Part
from evenhand.auditing.tables.relation import Relation, check_columns
from evenhand.errors import InputError
from evenhand.tasks.missing import Missing
from evenhand.tasks.open_table import open_table


def counted(asked: AuditRequest, source: Any = None) -> tuple[Relation, Cells]:
    """The relation that is asked for, and its cells.

    The embedded engine reads files itself where it reads them as everybody else here does, which
    is seen while they are counted; else they are read a batch at a time.

    Raises:
        InputError: no such table, a column that is missing or unfit, no rows.
    """
    wanted = list(asked.columns)
    parts = _parts(asked, source)
    for part in parts:
        check_columns(part.columns, wanted, part.table.label)
    table = engine_reads(parts, wanted, asked.score)
    if table is not None:
        try:
            cells = count(table, asked)
            if table.checked():
                return table, cells
        except InputError:
            if table.checked():
                table.close()
                raise
        except table.error:  # it cannot read the file; what is wrong with it is told below
            pass
        table.close()
    table = in_batches(parts, wanted, asked.score, Missing(asked.missing))
    try:
        return table, count(table, asked)
    except InputError:
        table.close()
        raise


def _parts(asked: AuditRequest, source: Any) -> list[Part]:
    source = asked.file if source is None else source
    name = visible(source) if isinstance(source, str | Path) else None
    return [
        Part(open_table(source, label=name, delimiter=asked.delimiter, encoding=asked.encoding))
    ]
