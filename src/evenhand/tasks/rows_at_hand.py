"""A task's rows as one table, whether they lie in a file or in memory, whole or already split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evenhand.errors import InputError
from evenhand.tasks.memory_tables import as_arrow, memory_table
from evenhand.tasks.open_table import open_table
from evenhand.tasks.split import part_of
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
    """

    table: TableFile
    name: str
    split: Any


def opened_rows(data: Any, how: Mapping[str, Any]) -> RowsAtHand:
    """The rows of a task.

    Args:
        data: a file; a frame of pandas, polars or Arrow; a ``datasets.Dataset``; or a mapping of
            splits to such, as a ``datasets.DatasetDict`` is.
        how: options, see :data:`evenhand.tasks.options.FILE_OPTIONS`.

    Raises:
        InputError: something else, or splits that are called otherwise.
    """  # noqa: DOC502
    if isinstance(data, str | Path):
        path = Path(data)
        table = open_table(path, delimiter=how["delimiter"], encoding=how["encoding"])
        return RowsAtHand(table, path.name.split(".")[0], how["split"])
    if isinstance(data, Mapping):
        return RowsAtHand(_in_splits(data), "task", PART)
    return RowsAtHand(_opened(arrow_of(data, "the rows")), "task", how["split"])


def arrow_of(rows: Any, what: str) -> Any:
    """A frame of any library as an Arrow table.

    Raises:
        InputError: something else.
    """
    import pyarrow as arrow

    if hasattr(rows, "with_format") and hasattr(rows, "features"):  # datasets: its own order
        found = rows.with_format("arrow")[:]
    elif isinstance(rows, pd.DataFrame):
        columns = [as_arrow(rows.iloc[:, at]) for at in range(rows.shape[1])]
        found = arrow.Table.from_arrays(columns, [str(name) for name in rows.columns])
    elif hasattr(rows, "__arrow_c_stream__"):
        found = arrow.table(rows)
    else:
        raise InputError(
            f"{what} must be a file, a frame of pandas, polars or Arrow, a datasets.Dataset, or a "
            f"mapping of splits to such; found {type(rows).__name__}"
        )
    return found.replace_schema_metadata(None)


def is_table(rows: Any) -> bool:
    """Whether ``rows`` have named columns, and :func:`opened_rows` takes them."""
    return (
        isinstance(rows, pd.DataFrame)
        or hasattr(rows, "__arrow_c_stream__")
        or (hasattr(rows, "with_format") and hasattr(rows, "features"))
    )


def _in_splits(splits: Mapping[Any, Any]) -> TableFile:
    import pyarrow as arrow

    if not splits:
        raise InputError("a mapping of splits holds none: give train, valid and test")
    parts = []
    for name, rows in splits.items():
        table = arrow_of(rows, f"split {name!r}")
        part = arrow.array([part_of(name)] * table.num_rows, arrow.string())
        parts.append(table.append_column(PART, part))
    try:
        whole = arrow.concat_tables(parts, promote_options="permissive")
    except arrow.ArrowException as error:
        raise InputError(f"the splits' columns do not go together: {error}") from error
    return _opened(whole)


def _opened(table: Any) -> TableFile:
    opened = memory_table(table, "the rows")
    opened.digest = _digest(table)
    return opened


def _digest(table: Any) -> str:
    """sha256 of an Arrow table's types and values."""
    import pyarrow as arrow

    found = _Hashing()
    with arrow.ipc.new_stream(arrow.PythonFile(found, mode="w"), table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return found.sha256.hexdigest()


class _Hashing:
    """A file that keeps only the hash of what is written."""

    closed = False

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, some: Any) -> int:
        """Take more bytes."""
        self.sha256.update(some)
        return len(some)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is held."""
