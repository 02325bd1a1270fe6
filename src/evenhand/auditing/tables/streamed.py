"""Tables of a database beside tables elsewhere, which only the embedded engine can join.

Of such a table the columns that are needed come here, a batch at a time; nothing is written to the
database, as bringing the other tables there would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evenhand._base.text import visible
from evenhand.auditing.request import AuditRequest, without_password
from evenhand.auditing.tables.database import (
    Opened,
    first_line,
    is_database,
    is_url,
    opened_file,
    opened_url,
    origin_of,
)
from evenhand.auditing.tables.parts import Part, files
from evenhand.auditing.tables.relation import quoted
from evenhand.errors import InputError
from evenhand.tasks.table_file import Batches, TableFile

TABLE_MARK = "#"
"""Between a database and its table, where one names both."""


def is_elsewhere(other: Any) -> bool:
    """Whether what a database's table is joined with is no table of that database."""
    if not isinstance(other, str | Path):
        return True
    text = str(other)
    path_like = isinstance(other, Path) or "/" in text or set("*?[") & set(text)
    return bool(path_like) or Path(text).is_file()


def parts_of(source: Any, asked: AuditRequest) -> list[Part]:
    """The decisions: files, a table in memory, or what is asked of a database.

    Raises:
        InputError: it cannot be opened, or there is no such table.
    """  # noqa: DOC502
    if is_url(source) or is_database(source):
        return [_part(source, asked)]
    return files(source, asked.delimiter, asked.encoding)


def parts_joined(other: Any, source: Any, asked: AuditRequest) -> list[Part]:
    """What the decisions of ``source`` are joined with.

    That is a table of the same database, one of another (``postgresql://host/bank#people``), files,
    or a table in memory.

    Raises:
        InputError: it cannot be opened, or there is no such table.
    """
    home, mark, table = str(other).rpartition(TABLE_MARK)
    if isinstance(other, str | Path) and mark and (is_url(home) or is_database(home)):
        return [_part(home, AuditRequest(table=table))]
    if (is_url(source) or is_database(source)) and not is_elsewhere(other):
        return [_part(source, AuditRequest(table=str(other)))]
    if is_url(other) or is_database(other):
        raise InputError(
            f"{visible(without_password(str(other)))} is a database: name the table that is "
            f"joined, as {visible(without_password(str(other)))}{TABLE_MARK}TABLE"
        )
    return files(other, asked.delimiter, asked.encoding)


def _part(source: str | Path, asked: AuditRequest) -> Part:
    """A table of a database, or an answer of it, as one file of a table."""

    def opened() -> Opened:
        return opened_url(str(source), asked.query) if is_url(source) else opened_file(source)

    held = opened()
    try:
        origin = origin_of(asked, held)
        kinds = _tried(held, lambda: held.kinds(f"select * from {origin} as t"))
    finally:
        held.close()
    label = f"{asked.table or 'the query'} of {held.label}"
    columns = tuple(kinds)

    def read(places: Sequence[int]) -> Batches:
        taken = ", ".join(f"t.{quoted(columns[at])}" for at in places)
        held = opened()
        try:
            batches = held.stream(f"select {taken} from {origin} as t")
            yield from _told(held, batches, len(places))
        finally:
            held.close()

    return Part(TableFile(label, columns, read), database=held.label)


def _told(held: Opened, batches: Iterator[Any], width: int) -> Batches:
    """The batches, their columns called by their numbers; what is wrong is told as of its input."""
    names = [str(at) for at in range(width)]
    while (batch := _tried(held, lambda: next(batches, None))) is not None:
        yield batch.rename_columns(names)


def _tried(held: Opened, does: Callable[[], Any]) -> Any:
    try:
        return does()
    except InputError:
        raise
    except held.error as error:
        raise InputError(f"{held.label}: {first_line(error)}") from error
