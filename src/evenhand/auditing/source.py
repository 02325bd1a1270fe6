"""Read the few columns an audit needs, a bounded number of rows at a time."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evenhand._base.text import listed, visible
from evenhand.auditing.request import AuditRequest
from evenhand.errors import InputError
from evenhand.tasks.missing import Missing
from evenhand.tasks.open_table import open_table
from evenhand.tasks.read_table import plain_values
from evenhand.tasks.table_file import TableFile

CHUNK_ROWS = 500_000


Chunk = dict[str, tuple[np.ndarray[Any, Any], list[Any]]]
"""Column name to (codes (n,), names): -1 is missing. Scores: (numbers (n,), [])."""


def opened(asked: AuditRequest, source: Any = None) -> TableFile:
    """The table of an audit: a file of any kind that tasks are read from, or a table in memory.

    Raises:
        InputError: it is missing, empty or damaged, or something else.
    """
    source = asked.file if source is None else source
    name = visible(source) if isinstance(source, str | Path) else None
    return open_table(source, label=name, delimiter=asked.delimiter, encoding=asked.encoding)


def chunks(
    table: TableFile,
    columns: Sequence[str],
    score: str | None,
    missing: Missing,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[Chunk]:
    """The columns of a table, at most ``chunk_rows`` rows at a time; its notes are whole after it.

    Raises:
        InputError: a column is not there or twice; the message lists those there are and the
            nearest. A score that is no number, lists in a column, or no rows.
    """
    check_columns(table.columns, columns, table.label)
    wanted = list(dict.fromkeys(columns))
    rows = 0
    for batch in table.read([table.place(name) for name in wanted]):
        for start in range(0, batch.num_rows, chunk_rows):
            part = batch.slice(start, chunk_rows)
            rows += part.num_rows
            yield {
                name: _numbers(part.column(at), name, table.label)
                if name == score
                else _named(part.column(at), name, table.label, missing)
                for at, name in enumerate(wanted)
            }
    if not rows:
        raise InputError(f"{table.label} has a header and no rows")


def check_columns(present: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Refuse columns that are not there, or are there twice.

    Raises:
        InputError: one of them is missing or there twice.
    """
    for name in wanted:
        times = list(present).count(name)
        if times > 1:
            raise InputError(
                f"{where} has {times} columns named {visible(name)!r}: rename or drop all but one"
            )
        if times == 0:
            near = difflib.get_close_matches(name, present, n=3, cutoff=0.5)
            folded = [c for c in present if c.strip().casefold() == name.strip().casefold()]
            hints = [visible(c) for c in dict.fromkeys(folded + near)]
            hint = f" Nearest: {', '.join(map(repr, hints))}." if hints else ""
            raise InputError(
                f"{where} has no column {visible(name)!r}; it has {len(present)}: "
                f"{listed([visible(c) for c in present], 20)}.{hint}"
            )


def _plain(column: Any, name: str, where: str) -> Any:
    import pyarrow as arrow

    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    values = plain_values(column)
    if values is None:
        raise InputError(
            f"column {visible(name)!r} of {where} holds {column.type}, not plain values: "
            "take one value a row"
        )
    return values


def _named(
    column: Any, name: str, where: str, missing: Missing
) -> tuple[np.ndarray[Any, Any], list[Any]]:
    """Codes, and the names of the values they stand for."""
    coded = _plain(column, name, where).dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    named = [missing.name(value) for value in coded.dictionary.to_pylist()]
    names = list(dict.fromkeys(one for one in named if one is not None))
    place = {one: at for at, one in enumerate(names)}
    known = np.array([*(place.get(one, -1) if one is not None else -1 for one in named), -1])
    return known[codes], names


def _numbers(column: Any, name: str, where: str) -> tuple[np.ndarray[Any, Any], list[Any]]:
    """Scores in the column's own precision, so that they are compared as they are kept."""
    import pandas as pd
    import pyarrow as arrow

    values = _plain(column, name, where)
    if arrow.types.is_floating(values.type):
        return values.to_numpy(zero_copy_only=False), []
    held = values.to_pandas()
    numbers = pd.to_numeric(held, errors="coerce")
    words = Missing()
    wrong = numbers.isna() & held.map(lambda value: words.name(value) is not None)
    if wrong.any():
        raise InputError(
            f"score column {visible(name)!r} of {where} holds {visible(held[wrong].iloc[0])!r}, "
            "which is not a number (write decimals with a point)"
        )
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan), []
