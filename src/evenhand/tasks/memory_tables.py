"""Tables in memory: pandas, and every library that speaks Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from evenhand._base.names import name_of
from evenhand.errors import InputError
from evenhand.tasks.arrow_batches import batches_of
from evenhand.tasks.table_file import Batches, TableFile


def memory_table(source: Any, label: str) -> TableFile:
    """A DataFrame, or a table of another library.

    Args:
        source: a pandas DataFrame, or what has ``__arrow_c_stream__``.
        label: what errors call it.

    Raises:
        InputError: something else, or no rows.
    """
    if isinstance(source, pd.DataFrame):
        return frame_table(source, label)
    if not hasattr(source, "__arrow_c_stream__"):
        raise InputError(
            f"{label} must be a file, a DataFrame or an Arrow table, found {type(source).__name__}"
        )
    import pyarrow as arrow

    table = arrow.table(source)
    if not table.num_rows:
        raise InputError(f"{label} has no rows")
    return TableFile(label, tuple(map(str, table.column_names)), lambda at: batches_of(table, at))


def frame_table(frame: pd.DataFrame, label: str) -> TableFile:
    """A pandas DataFrame; its index is no column.

    Raises:
        InputError: it has no rows.
    """
    if not len(frame):
        raise InputError(f"{label} has no rows")

    def read(places: Sequence[int]) -> Batches:
        import pyarrow as arrow

        columns = [as_arrow(frame.iloc[:, at]) for at in places]
        yield arrow.RecordBatch.from_arrays(columns, [str(at) for at in range(len(columns))])

    return TableFile(label, tuple(str(column) for column in frame.columns), read)


def as_arrow(column: pd.Series[Any]) -> Any:
    """A column as an Arrow array; values of several types become their names."""
    import pyarrow as arrow

    try:
        made = arrow.Array.from_pandas(column)
    except (arrow.ArrowException, TypeError, ValueError, OverflowError):
        names = [
            None if absent else name_of(v) for v, absent in zip(column, column.isna(), strict=True)
        ]
        return arrow.array(names, arrow.string())
    return made.combine_chunks() if isinstance(made, arrow.ChunkedArray) else made
