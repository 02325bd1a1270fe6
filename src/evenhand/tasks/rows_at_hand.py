"""A task's rows as one table, whether they lie in a file or in memory, whole or already split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evenhand.errors import InputError
from evenhand.tasks.image_places import place_type
from evenhand.tasks.memory_tables import as_arrow, memory_table
from evenhand.tasks.open_table import open_table
from evenhand.tasks.shard_names import is_shards, shards_name
from evenhand.tasks.shards import shard_table
from evenhand.tasks.split import part_of
from evenhand.tasks.streamed_rows import HashedFile, is_streamed, spilled
from evenhand.tasks.table_file import TableFile

PART = "evenhand: part of the split"
"""The column that says which split a row was given in."""


@dataclass(frozen=True)
class RowsAtHand:
    """Rows, opened.

    Attributes:
        table: of them all.
        name: what the results call the task, where nobody says.
        split: how they are parted, where they came in parts; else as it was asked.
        images: the columns that say where images lie in shards.
    """

    table: TableFile
    name: str
    split: Any
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """Some of the rows, as an Arrow table.

    Attributes:
        table: the rows.
        digest: sha256 of them, where they are too many to be hashed in one piece.
        notes: what was passed over.
    """

    table: Any
    digest: str | None = None
    notes: tuple[str, ...] = ()


def opened_rows(data: Any, how: Mapping[str, Any]) -> RowsAtHand:
    """The rows of a task.

    Args:
        data: a file; a frame of pandas, polars or Arrow; a ``datasets.Dataset``, or one that is
            streamed; shards, see :func:`evenhand.tasks.shards.shard_table`; or a mapping of splits
            to such, as a ``datasets.DatasetDict`` is.
        how: options, see :data:`evenhand.tasks.options.FILE_OPTIONS`.

    Raises:
        InputError: something else, or splits that are called otherwise.
    """
    if is_shards(data):
        return _opened([(None, part_of_rows(data, "the shards"))], shards_name(data), how["split"])
    if isinstance(data, str | Path):
        path = Path(data)
        table = open_table(path, delimiter=how["delimiter"], encoding=how["encoding"])
        return RowsAtHand(table, path.name.split(".")[0], how["split"])
    if not isinstance(data, Mapping):
        return _opened([(None, part_of_rows(data, "the rows"))], "task", how["split"])
    if not data:
        raise InputError("a mapping of splits holds none: give train, valid and test")
    parts = [(part_of(name), part_of_rows(rows, f"split {name!r}")) for name, rows in data.items()]
    return _opened(parts, "task", PART)


def part_of_rows(rows: Any, what: str) -> Part:
    """Shards, a frame of any library, or a ``datasets.Dataset``, as an Arrow table.

    Args:
        rows: such rows.
        what: they are, for errors.

    Raises:
        InputError: something else.
    """
    import pyarrow as arrow

    if is_shards(rows):
        table, notes = shard_table(rows)
        told = table.drop_columns([f.name for f in table.schema if f.type == place_type()])
        return Part(table, _digest(told), tuple(notes))
    if is_streamed(rows):
        return Part(*spilled(rows, what))
    if hasattr(rows, "with_format") and hasattr(rows, "features"):  # datasets: its own order
        found = rows.with_format("arrow")[:]
    elif isinstance(rows, pd.DataFrame):
        columns = [as_arrow(rows.iloc[:, at]) for at in range(rows.shape[1])]
        found = arrow.Table.from_arrays(columns, [str(name) for name in rows.columns])
    elif hasattr(rows, "__arrow_c_stream__"):
        found = arrow.table(rows)
    else:
        raise InputError(
            f"{what} must be a file, a frame of pandas, polars or Arrow, a datasets.Dataset, "
            f"shards, or a mapping of splits to such; found {type(rows).__name__}"
        )
    return Part(found.replace_schema_metadata(None))


def is_table(rows: Any) -> bool:
    """Whether ``rows`` have named columns, and :func:`opened_rows` takes them."""
    return (
        isinstance(rows, pd.DataFrame)
        or hasattr(rows, "__arrow_c_stream__")
        or (hasattr(rows, "with_format") and hasattr(rows, "features"))
    )


def _opened(parts: Sequence[tuple[str | None, Part]], name: str, split: Any) -> RowsAtHand:
    import pyarrow as arrow

    tables = []
    for part, rows in parts:
        column = arrow.array([part] * rows.table.num_rows, arrow.string())
        tables.append(rows.table if part is None else rows.table.append_column(PART, column))
    try:
        whole = arrow.concat_tables(tables, promote_options="permissive")
    except arrow.ArrowException as error:
        raise InputError(f"the splits' columns do not go together: {error}") from error
    opened = memory_table(whole, "the rows")
    opened.notes += [note for _, rows in parts for note in rows.notes]
    if all(rows.digest is None for _, rows in parts):
        opened.digest = _digest(whole)
    else:
        told = [f"{part} {rows.digest or _digest(rows.table)}" for part, rows in parts]
        opened.digest = hashlib.sha256("\n".join(told).encode()).hexdigest()
    images = tuple(field.name for field in whole.schema if field.type == place_type())
    return RowsAtHand(opened, name, split, images)


def _digest(table: Any) -> str:
    """sha256 of an Arrow table's types and values."""
    import pyarrow as arrow

    found = HashedFile()
    with arrow.ipc.new_stream(arrow.PythonFile(found, mode="w"), table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return found.sha256.hexdigest()
