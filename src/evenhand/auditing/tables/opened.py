"""From what a user names to the relation that is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evenhand._base.text import visible
from evenhand.auditing.counting import Cells, count
from evenhand.auditing.request import AuditRequest
from evenhand.auditing.tables.by_batches import in_batches, in_batches_joined
from evenhand.auditing.tables.by_engine import engine_reads
from evenhand.auditing.tables.database import database, database_file, is_database, is_url
from evenhand.auditing.tables.parts import files
from evenhand.auditing.tables.relation import Relation, check_columns
from evenhand.auditing.tables.streamed import is_elsewhere, parts_joined, parts_of
from evenhand.errors import InputError
from evenhand.tasks.missing import Missing


def counted(
    asked: AuditRequest, source: Any = None, joined: Sequence[Any] | None = None
) -> tuple[Relation, Cells]:
    """The relation that is asked for, and its cells; ``source`` and the tables that it is
    ``joined`` with in place of those that the request names.

    The embedded engine reads files itself where it reads them as everybody else here does; else
    they are read a batch at a time.

    Raises:
        InputError: no such table, a column that is missing or unfit, no rows.
    """
    source = asked.file if source is None else source
    others = list(joined or asked.join)
    if is_url(source) or is_database(source):
        if any(map(is_elsewhere, others)):
            return _of_joined(asked, source, others)
        return _of_database(asked, source)
    if asked.table or asked.query:
        raise InputError("a table or query is of a database, which is at a URL or a DuckDB file")
    if asked.on:
        return _of_joined(asked, source, others)
    wanted = list(asked.columns)
    parts = files(source, asked.delimiter, asked.encoding)
    for part in parts:
        check_columns(part.columns, wanted, part.table.label)
    table = engine_reads(parts, wanted, asked.score)
    if table is not None:
        try:
            return _counted(table, asked)
        except table.error:  # it cannot read the file; what is wrong with it is told below
            table.close()
    return _counted(in_batches(parts, wanted, asked.score, Missing(asked.missing)), asked)


def _of_joined(asked: AuditRequest, source: Any, others: Sequence[Any]) -> tuple[Relation, Cells]:
    joined = [parts_joined(other, source, asked) for other in others]
    tables = [parts_of(source, asked), *joined]
    return _counted(in_batches_joined(tables, asked, Missing(asked.missing)), asked)


def _counted(table: Relation, asked: AuditRequest) -> tuple[Relation, Cells]:
    try:
        return table, count(table, asked)
    except InputError:
        table.close()
        raise


def _of_database(asked: AuditRequest, source: Any) -> tuple[Relation, Cells]:
    table = database(source, asked) if is_url(source) else database_file(source, asked)
    try:
        return table, count(table, asked)
    except InputError:
        table.close()
        raise
    except table.error as error:
        table.close()
        said = str(error).strip().splitlines()[0][:200]
        raise InputError(f"{table.label} cannot be counted: {visible(said)}") from error
