"""One row that an encoder reads, made of what it knows of its training rows: nobody's own."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from evenhand.tasks.encoded_columns import (
    MISSING_NAME,
    BinColumn,
    CategoryColumn,
    Column,
    NumberColumn,
)
from evenhand.tasks.table_encoder import TableEncoder

EPOCH = date(1970, 1, 1)


def example_row(encoder: TableEncoder) -> dict[str, Any]:
    """Column to its median, shortened, or its first category.

    Args:
        encoder: whose row.
    """
    return {column.name: _usual(column) for column in encoder.columns}


def _usual(column: Column) -> Any:
    if isinstance(column, CategoryColumn):
        return next((c for c in column.categories if c != MISSING_NAME), None)
    if isinstance(column, NumberColumn) and column.date:
        return (EPOCH + timedelta(days=round(column.median))).isoformat()
    if isinstance(column, NumberColumn | BinColumn):
        short = float(f"{column.median:.4g}")
        return int(short) if short.is_integer() else short
    return None
