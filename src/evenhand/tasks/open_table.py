"""Opening a user's table, whatever it is kept in: the one way to read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand._base.text import visible
from evenhand.errors import InputError
from evenhand.tasks.arrow_tables import arrow_table, json_lines, parquet_table, workbook
from evenhand.tasks.csv_tables import csv_table
from evenhand.tasks.file_kinds import Kind, inside_zip, kind_of
from evenhand.tasks.memory_tables import memory_table
from evenhand.tasks.table_file import HEAD, MAX_RATIO, MAX_UNPACKED, Content, TableFile

if TYPE_CHECKING:
    import pandas as pd


def open_table(
    source: str | Path | bytes | pd.DataFrame | Any,
    *,
    label: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> TableFile:
    """A table in a file, in bytes or in memory, ready to be read.

    Args:
        source: a path; the bytes of a file; a pandas DataFrame, or a table of any library that
            speaks Arrow (pyarrow, polars). Of files: CSV, Parquet, Arrow or Feather, JSON lines
            and Excel (.xlsx) are read, in a gzip or zip file too.
        label: what errors and notes call it.
        delimiter: of a CSV; None: the one of comma, semicolon, tab and bar that the first lines
            agree on.
        encoding: of a CSV; None: UTF-8, or UTF-16 where its byte-order mark says so.

    Raises:
        InputError: no such file, empty, damaged, or something else; the message says what.
        MissingExtraError: a workbook without openpyxl.
    """  # noqa: DOC502
    if not isinstance(source, str | Path | bytes):
        return memory_table(source, label or "the table")
    if isinstance(source, bytes):
        content = Content(source, label or "data")
    else:
        content = Content(_file(source), label or Path(source).name)
    if not content.size:
        raise InputError(f"{content.label} is empty (0 bytes)")
    made = _opened(content, delimiter, encoding)
    made.hashed, made.size = content.digest, content.size
    return made


def _file(source: str | Path) -> Path:
    try:
        path = Path(source)
        if path.is_file():
            return path
        what = f"{visible(path)} is a folder" if path.is_dir() else f"no file at {visible(path)}"
    except (OSError, ValueError) as error:
        raise InputError(f"no file at {visible(source)}") from error
    raise InputError(f"{what}: give a CSV or Parquet file")


def _opened(content: Content, delimiter: str | None, encoding: str | None) -> TableFile:
    start = content.start()
    kind = kind_of(start, content.label)
    if kind is Kind.GZIP and not content.packed:
        return _opened(Content(content.held, content.label, packed=True), delimiter, encoding)
    if kind is Kind.ZIP:
        most = max(MAX_UNPACKED, MAX_RATIO * content.size)
        kind, name, inner = inside_zip(content.whole(), content.label, most)
        content = Content(inner, content.label)
        if kind is Kind.ZIP:
            kind = kind_of(inner[:HEAD], f"{name} in {content.label}")
            if not inner:
                raise InputError(f"{name} in {content.label} is empty (0 bytes)")
    if kind in (Kind.GZIP, Kind.ZIP):
        raise InputError(f"{content.label} is packed twice: unpack it")
    if kind is Kind.CSV:
        return csv_table(content, delimiter, encoding)
    readers: dict[Kind, Callable[[Content], TableFile]] = {
        Kind.PARQUET: parquet_table,
        Kind.ARROW: arrow_table,
        Kind.ARROW_STREAM: arrow_table,
        Kind.JSON_LINES: json_lines,
        Kind.XLSX: workbook,
    }
    return readers[kind](content)
