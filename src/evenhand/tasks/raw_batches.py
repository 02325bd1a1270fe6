"""A table's rows a batch at a time, as an encoder reads them, each with its place in the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.arrays import IntArray
from evenhand.errors import InputError
from evenhand.tasks.encoded_columns import NumberColumn
from evenhand.tasks.raw import Raw
from evenhand.tasks.read_table import plain_values
from evenhand.tasks.table_encoder import TableEncoder
from evenhand.tasks.table_file import TableFile

MOST_ROWS = 1 << 15
"""Rows encoded together: a row of forty categories a column becomes some kilobytes."""


@dataclass(frozen=True)
class RawBatch:
    """Some rows that follow each other in the file.

    Attributes:
        start: the place of the first in the file, from 0.
        count: how many rows, those whose line cannot be read among them.
        places: (n,) the places within the batch of the rows that can be read.
        frame: those n rows, the columns that the model reads.
        carried: those n rows as Arrow arrays, the columns to carry through.
        misfits: place within the batch to why a line cannot be read.
    """

    start: int
    count: int
    places: IntArray
    frame: pd.DataFrame
    carried: list[Any]
    misfits: dict[int, str]


def raw_batches(table: TableFile, raw: Raw, carried: Sequence[str]) -> Iterator[RawBatch]:
    """The rows of a table, in order, none left out.

    Args:
        table: opened.
        raw: what the model reads.
        carried: columns to carry through as they are.

    Raises:
        InputError: a column is not there, or the file cannot be read.
    """  # noqa: DOC502
    misfits: dict[int, str] = {}
    table.misfits = misfits
    names = list(dict.fromkeys((*raw.needs, *carried)))  # a carried one may be read too
    start = 0
    for batch in _small(table.read([table.place(name) for name in names])):
        count = batch.num_rows
        bad: dict[int, str] = {}
        for row in sorted(misfits):
            if row >= start + count:
                break
            bad[row - start] = misfits.pop(row)
            count += 1
        places = np.setdiff1d(np.arange(count), np.array(list(bad), dtype=np.int64))
        columns = batch.columns
        frame = _frame(columns[: len(raw.needs)], raw, table.label)
        kept = [plain_or_text(columns[names.index(name)]) for name in carried]
        yield RawBatch(start, count, places.astype(np.int64), frame, kept, bad)
        start += count
    if misfits:
        last = {row - start: why for row, why in sorted(misfits.items())}
        nothing = pd.DataFrame({name: pd.Series(dtype=object) for name in raw.needs})
        places = np.empty(0, dtype=np.int64)
        yield RawBatch(start, len(last), places, nothing, [None] * len(carried), last)


def _small(batches: Iterator[Any]) -> Iterator[Any]:
    """Batches of a size whose encoded rows are small beside them, however a file keeps its rows."""
    for batch in batches:
        for start in range(0, batch.num_rows, MOST_ROWS):
            yield batch.slice(start, MOST_ROWS)


def plain_or_text(column: Any) -> Any:
    """A column to carry through: dictionaries unpacked, everything else as it is."""
    import pyarrow as arrow

    return column.dictionary_decode() if arrow.types.is_dictionary(column.type) else column


def _frame(columns: Sequence[Any], raw: Raw, label: str) -> pd.DataFrame:
    made: dict[str, Any] = {}
    kinds = raw.columns if isinstance(raw, TableEncoder) else (None,)
    for column, name, kind in zip(columns, raw.needs, kinds, strict=True):
        values = plain_values(column)
        if values is None:
            raise InputError(
                f"column {name!r} of {label} holds {column.type}, not plain values: take one value "
                "a row"
            )
        if kind is None:
            made[name] = plain_or_text(values).to_pandas().astype(object)
        else:
            numbers = isinstance(kind, NumberColumn) and not kind.date and kind.decimal == "."
            made[name] = _series(values, kind.words.words if numbers else None)
    return pd.DataFrame(made)


def _series(column: Any, words: Collection[str] | None) -> pd.Series[Any]:
    """A column for an encoder: texts that are all numbers as such, others each value once.

    Args:
        column: an Arrow array of plain values.
        words: those for "no value", where the column holds numbers; None: it does not.
    """
    import pyarrow as arrow
    from pyarrow import compute

    kind = arrow.types
    if not (kind.is_string(column.type) or kind.is_large_string(column.type)):
        made: pd.Series[Any] = column.to_pandas(date_as_object=False)
        return made
    if words is not None:
        trimmed = compute.utf8_trim_whitespace(column)
        absent = compute.is_in(trimmed, value_set=arrow.array(sorted(words)))
        try:
            numbers = compute.if_else(absent, None, trimmed).cast(arrow.float64())
            return pd.Series(numbers.to_numpy(zero_copy_only=False))
        except arrow.ArrowInvalid:
            pass  # the encoder tells the values apart, one by one
    encoded: pd.Series[Any] = column.dictionary_encode().to_pandas()
    return encoded
