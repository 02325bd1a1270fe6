"""One column of raw values, texts or typed, as numbers, days or categories."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evenhand._base.arrays import IntArray
from evenhand.tasks.labels import text_of
from evenhand.tasks.read_table import MISSING

MISSING_TEXTS = frozenset(MISSING)

_DATES = (str, date, np.datetime64)
"""What may be a date, where a column holds objects; a number may not."""


Values = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]


def numbers_of(column: pd.Series[Any]) -> Values:
    """(n,) floats, NaN where missing or infinite, and (n,) True where a value is no number."""
    if pd.api.types.is_numeric_dtype(column):
        return _finite(column.to_numpy(dtype=float, na_value=np.nan)), np.zeros(len(column), bool)
    if pd.api.types.is_datetime64_any_dtype(column):
        return np.full(len(column), np.nan), column.notna().to_numpy()
    return _parsed(column, lambda texts: pd.to_numeric(texts, errors="coerce"))


def days_of(column: pd.Series[Any]) -> Values:
    """(n,) days since 1970, NaN where missing, and (n,) True where a value is no date."""
    if not pd.api.types.is_datetime64_any_dtype(column):
        if pd.api.types.is_numeric_dtype(column):
            return np.full(len(column), np.nan), column.notna().to_numpy()
        return _parsed(column, lambda texts: _days(_dates(texts)))
    return _days(column).to_numpy(dtype=float), np.zeros(len(column), bool)


def categories_of(column: pd.Series[Any]) -> tuple[IntArray, list[str | None]]:
    """(n,) codes and what each code stands for: a trimmed text, None where it is missing."""
    codes, values = pd.factorize(np.asarray(column, dtype=object), use_na_sentinel=True)
    names = [text_of(value) for value in values]
    known = [None if name in MISSING_TEXTS else name for name in names]
    return np.where(codes < 0, len(known), codes).astype(np.int64), [*known, None]


def is_missing(column: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """(n,) True where a value is missing, or a text that says so."""
    codes, names = categories_of(column)
    return np.array([name is None for name in names])[codes]


def _parsed(column: pd.Series[Any], parse: Callable[[pd.Series[Any]], pd.Series[Any]]) -> Values:
    texts = pd.Series(np.asarray(column, dtype=object))
    raw = parse(texts).to_numpy(dtype=float, na_value=np.nan)
    bad = np.isnan(raw)
    if bad.any():
        bad[bad] = ~is_missing(texts[bad])
    return _finite(raw), bad


LARGEST = float(np.finfo(np.float32).max)
"""Numbers beyond those of float32 count as infinite."""


def _finite(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(np.abs(values) <= LARGEST, values, np.nan)


def _dates(texts: pd.Series[Any]) -> pd.Series[Any]:
    """Dates as ISO 8601 writes them, each different text parsed once; NaT for anything else."""
    codes, values = pd.factorize(texts, use_na_sentinel=True)
    plain = [str(value) if isinstance(value, _DATES) else None for value in values]
    parsed = pd.to_datetime(pd.Series([*plain, None]), errors="coerce", format="ISO8601", utc=True)
    return parsed.iloc[codes].reset_index(drop=True)


def _days(dates: pd.Series[Any]) -> pd.Series[Any]:
    zone = getattr(dates.dtype, "tz", None)
    plain = dates.dt.tz_convert("UTC").dt.tz_localize(None) if zone is not None else dates
    return (plain - pd.Timestamp(0)) / pd.Timedelta(days=1)
