"""Rows of any library as a pandas frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from evenhand.errors import InputError


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
