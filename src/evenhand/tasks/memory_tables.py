"""Tables in memory: pandas, and every library that speaks Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evenhand._base.names import name_of
from evenhand._base.text import listed, visible
from evenhand.errors import InputError
from evenhand.tasks.arrow_batches import batches_of
from evenhand.tasks.table_file import Batches, TableFile

if TYPE_CHECKING:
    import pandas as pd


def memory_table(source: Any, label: str) -> TableFile:
    """A DataFrame, or a table of another library.

    Args:
        source: a pandas DataFrame, or what has ``__arrow_c_stream__``.
        label: what errors call it.

    Raises:
        InputError: something else, or no rows.
    """
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        return frame_table(source, label)
    if not hasattr(source, "__arrow_c_stream__"):
        raise InputError(
            f"{label} must be a file, a DataFrame or an Arrow table, found "
            f"{type(source).__name__}: make a DataFrame of it (pandas.DataFrame(…), "
            ".to_pandas(), .collect())"
        )
    import pyarrow as arrow

    objects = [
        str(name)
        for name, kind in zip(
            getattr(source, "columns", ()), getattr(source, "dtypes", ()), strict=False
        )
        if str(kind) == "Object"
    ]
    if objects:  # polars hands out their addresses in memory
        raise InputError(
            f"{label} holds Python objects in {listed(map(visible, objects))}: cast or drop them"
        )
    try:
        table = arrow.table(source)
        table.validate(full=True)
    except (arrow.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"{label} holds values that Arrow has no type for: {error}") from error
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
    import pandas as pd
    import pyarrow as arrow

    kind = column.dtype
    kind = kind.categories.dtype if isinstance(kind, pd.CategoricalDtype) else kind
    if isinstance(kind, pd.IntervalDtype | pd.PeriodDtype):  # Arrow keeps no more than their bytes
        column = column.astype(object)
    try:
        made = arrow.Array.from_pandas(column)
    except (arrow.ArrowException, TypeError, ValueError, OverflowError):
        names = [
            None if absent else name_of(v) for v, absent in zip(column, column.isna(), strict=True)
        ]
        return arrow.array(names, arrow.string())
    return made.combine_chunks() if isinstance(made, arrow.ChunkedArray) else made
