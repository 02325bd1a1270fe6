"""Fitting the encoder of a table: what each column holds, and its figures on the training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evenhand._base.arrays import IntArray
from evenhand.errors import InputError
from evenhand.tasks.column_kinds import CATEGORY, DAYS, MAX_CATEGORIES, Told, tell
from evenhand.tasks.column_values import categories_of, days_of, numbers_of
from evenhand.tasks.encoded_columns import (
    MISSING_NAME,
    CategoryColumn,
    Column,
    NumberColumn,
)
from evenhand.tasks.missing import Missing
from evenhand.tasks.table_encoder import TableEncoder


def fit_encoder(
    frame: pd.DataFrame,
    columns: Sequence[str],
    rows: IntArray,
    *,
    named_by_owner: bool = False,
    categorical: Sequence[str] = (),
    decimal: str | None = None,
    missing: Iterable[Any] = (),
) -> tuple[TableEncoder, tuple[str, ...]]:
    """The encoder of some columns of a table, with notes on what was left out or decided.

    Numbers, also those stored as text, and dates are standardised, missing ones the median, with a
    number that says so. Texts are one-hot; beyond 100 the rarest share one number. A column of
    texts that are all different (an identifier), of row numbers, or with one value only, is left
    out.

    Args:
        frame: the table; what each column holds is told from all its rows.
        columns: those to encode.
        rows: the training rows, which give the medians, means and categories.
        named_by_owner: the columns were named one by one, so that row numbers stay.
        categorical: columns whose numbers are codes of categories.
        decimal: the decimal mark of numbers written as texts; None: the one that fits each column.
        missing: words that mean "no value" beside the usual ones.

    Raises:
        InputError: no column is left.
    """
    words = Missing(missing)
    kept: list[Column] = []
    notes: list[str] = []
    for name in columns:
        told = tell(
            frame[name],
            words,
            decimal=decimal,
            categorical=name in categorical,
            keep=named_by_owner,
        )
        notes += told.notes
        kept += [] if told.kind is None else [_fitted(frame[name], told, rows, words)]
    if not kept:
        raise InputError(f"no feature column is left of {', '.join(columns) or 'none'}")
    texts = [column for column in kept if isinstance(column, CategoryColumn)]
    return TableEncoder((*(c for c in kept if c not in texts), *texts)), tuple(notes)


def _fitted(column: pd.Series[Any], told: Told, rows: IntArray, words: Missing) -> Column:
    name = str(column.name)
    if told.kind == CATEGORY:
        codes, names = categories_of(column, words)
        return replace(
            category_column(name, [names[code] for code in codes[rows]]), missing=words.more
        )
    if told.kind == DAYS:
        values, bad = days_of(column, words, told.order)
    else:
        values, bad = numbers_of(column, words, told.decimal)
    return number_column(
        name,
        values[rows],
        date=told.kind == DAYS,
        decimal=told.decimal,
        grouped=told.grouped,
        order=told.order,
        lenient=bool(bad.any()),
        missing=words.more,
    )


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
