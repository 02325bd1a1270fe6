"""Fitting the encoder of a table: what each column holds, and its figures on the training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evenhand._base.arrays import IntArray
from evenhand.errors import InputError
from evenhand.tasks.column_values import categories_of, days_of, is_missing, numbers_of
from evenhand.tasks.encoded_columns import (
    MISSING_NAME,
    CategoryColumn,
    Column,
    NumberColumn,
)
from evenhand.tasks.table_encoder import TableEncoder

MAX_CATEGORIES = 100
"""Categories with a number of their own, the one that the rare share among them."""


MOSTLY = 0.95
"""A text column of which this share are numbers (or dates) holds those, with some garbage."""


def fit_encoder(
    frame: pd.DataFrame, columns: Sequence[str], rows: IntArray
) -> tuple[TableEncoder, tuple[str, ...]]:
    """The encoder of some columns of a table, with notes on what was left out.

    Numbers, also those stored as text, and dates are standardised, missing ones the median, with a
    number that says so. Texts are one-hot; beyond 100 the rarest share one number. A column of
    texts that are all different (an identifier), or with one value only, is left out.

    Args:
        frame: the table; what each column holds is told from all its rows.
        columns: those to encode.
        rows: the training rows, which give the medians, means and categories.

    Raises:
        InputError: no column is left.
    """
    kept: list[Column] = []
    notes: list[str] = []
    for name in columns:
        column, said = _fitted(frame[name], rows)
        kept += [] if column is None else [column]
        notes += said
    if not kept:
        raise InputError(f"no feature column is left of {', '.join(columns) or 'none'}")
    texts = [column for column in kept if isinstance(column, CategoryColumn)]
    return TableEncoder((*(c for c in kept if c not in texts), *texts)), tuple(notes)


def _fitted(column: pd.Series[Any], rows: IntArray) -> tuple[Column | None, list[str]]:
    name = str(column.name)
    for parse, date in ((numbers_of, False), (days_of, True)):
        if pd.api.types.is_bool_dtype(column):
            break
        values, bad = parse(column)
        found = int(np.isfinite(values).sum())
        if not found or found < MOSTLY * (found + int(bad.sum())):
            continue
        if len(np.unique(values)) == 1:
            return None, [_one_value(name)]
        what = "dates" if date else "numbers"
        said = f"feature {name!r}: {bad.sum()} values are not {what} and count as missing"
        return number_column(name, values[rows], date=date, lenient=bool(bad.any())), (
            [said] if bad.any() else []
        )
    codes, names = categories_of(column)
    different = {text for text in names if text is not None}
    absent = bool(is_missing(column).any())
    if not different or (len(different) == 1 and not absent):
        return None, [_one_value(name)]
    if len(different) == len(column) > MAX_CATEGORIES:
        return None, [f"feature {name!r} differs in every row, an identifier, and was left out"]
    return category_column(name, [names[code] for code in codes[rows]]), []


def _one_value(name: str) -> str:
    return f"feature {name!r} has one value only and was left out"


def number_column(name: str, values: npt.NDArray[np.float64], **more: Any) -> NumberColumn:
    """A column of numbers, its figures those of ``values``, NaN where missing."""
    absent = np.isnan(values)
    median = 0.0 if absent.all() else float(np.nanmedian(values))
    filled = np.where(absent, median, values)
    if more.get("log"):
        filled = np.log1p(filled)
    flag = _centre(absent.astype(float)) if absent.any() else None
    mean, scale = _centre(filled)
    return NumberColumn(name, float(absent.mean()), median, mean, scale, flag, **more)


def category_column(name: str, values: Sequence[str | None]) -> CategoryColumn:
    """A column of texts, its categories those of ``values``, None where missing."""
    counts = Counter(MISSING_NAME if value is None else value for value in values)
    ordered = sorted(counts, key=lambda text: (-counts[text], text))
    own, rare = ordered, []
    if len(ordered) > MAX_CATEGORIES:
        own, rare = ordered[: MAX_CATEGORIES - 1], ordered[MAX_CATEGORIES - 1 :]
    absent = counts.get(MISSING_NAME, 0) / max(len(values), 1)
    return CategoryColumn(name, absent, tuple(sorted(own)), tuple(sorted(rare)))


def _centre(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The mean, and the standard deviation, 1 where it is 0."""
    deviation = float(np.std(values))
    return float(np.mean(values)), deviation if deviation > 10 * np.finfo(float).eps else 1.0
