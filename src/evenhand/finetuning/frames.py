"""Rows of any library as a pandas frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from evenhand._base.text import listed
from evenhand.errors import InputError
from evenhand.tasks.images_at_hand import ImagesAtHand
from evenhand.tasks.rows_at_hand import part_of_rows


def as_frame(rows: Any) -> pd.DataFrame:
    """Rows as a pandas frame: pandas, polars, Arrow, or a mapping of columns.

    Raises:
        InputError: something else.
    """
    if isinstance(rows, pd.DataFrame):
        return rows.reset_index(drop=True)
    if hasattr(rows, "to_pandas"):
        frame: pd.DataFrame = rows.to_pandas()
        return frame.reset_index(drop=True)
    if isinstance(rows, dict) or (
        isinstance(rows, Sequence) and rows and all(isinstance(row, dict) for row in rows)
    ):
        return pd.DataFrame(rows)
    raise InputError(
        "rows must be a table with named columns (pandas, polars, Arrow, a mapping of columns or "
        f"a list of mappings), found {type(rows).__name__}"
    )


def has_columns(rows: Any) -> bool:
    """Whether rows are a frame, or a ``datasets.Dataset``; one column alone is not."""
    return isinstance(rows, pd.DataFrame) or hasattr(rows, "__dataframe__") or _of_datasets(rows)


def _of_datasets(rows: Any) -> bool:
    return hasattr(rows, "with_format") and hasattr(rows, "features")


def column_of(rows: Any, name: str, *, images: bool) -> Any:
    """The one column that a model reads of rows of any library, images left where they are.

    Args:
        rows: a frame, or a ``datasets.Dataset``, streamed or not.
        name: of the column.
        images: it holds images.

    Raises:
        InputError: there is no such column.
    """
    of_datasets = _of_datasets(rows)
    table = part_of_rows(rows, "rows to predict").table if of_datasets else as_frame(rows)
    names = table.column_names if of_datasets else list(map(str, table.columns))
    if name not in names:
        raise InputError(
            f"the model reads column {name!r}; the columns are {listed(names) or 'none'}"
        )
    column = table[name]
    if not of_datasets:
        return column
    return ImagesAtHand(column) if images else column.to_pylist()
