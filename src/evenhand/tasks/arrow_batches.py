"""Columns of an Arrow table, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evenhand.tasks.table_file import Batches

BATCH_ROWS = 1 << 17
"""Rows read together: a file of many columns is then some hundred megabytes at a time, at most."""


def batches_of(table: Any, places: Sequence[int]) -> Batches:
    """The columns of an Arrow table at ``places``, a batch at a time."""
    part = table.select(list(places)).rename_columns([str(at) for at in range(len(places))])
    return (without_views(batch) for batch in part.to_batches(BATCH_ROWS))


def without_views(batch: Any) -> Any:
    """The same texts as plain strings: views of them, as polars has, cannot be computed with."""
    import pyarrow as arrow

    def plain(column: Any) -> Any:
        if arrow.types.is_string_view(column.type):
            return column.cast(arrow.string())
        if arrow.types.is_dictionary(column.type) and arrow.types.is_string_view(
            column.type.value_type
        ):
            words = column.dictionary.cast(arrow.string())
            return arrow.DictionaryArray.from_arrays(column.indices, words)
        return column

    columns = [plain(column) for column in batch.columns]
    return arrow.RecordBatch.from_arrays(columns, batch.schema.names)
