"""One column of raw values, texts or typed, as numbers, days or categories."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evenhand._base.arrays import IntArray
from evenhand.tasks.dates import ISO, iso
from evenhand.tasks.missing import Missing
from evenhand.tasks.numbers import number_in

_DATES = (str, date, np.datetime64)
"""What may be a date, where a column holds objects; a number may not."""


_NUMBERS = (int, float, Decimal, np.integer, np.floating)


Values = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]


def numbers_of(
    column: pd.Series[Any], missing: Missing, decimal: str = ".", *, grouped: bool = True
) -> Values:
    """(n,) floats, NaN where missing or infinite, and (n,) True where a value is no number.

    Args:
        column: (n,) values; times that passed are numbers, in seconds.
        missing: the words for "no value".
        decimal: the decimal mark of numbers written as texts.
        grouped: the other mark may part thousands where it could be the decimal mark as well.
    """
    values, bad, _ = numbers_and_infinities_of(column, missing, decimal, grouped=grouped)
    return values, bad


def numbers_and_infinities_of(
    column: pd.Series[Any], missing: Missing, decimal: str = ".", *, grouped: bool = True
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """:func:`numbers_of`, and (n,) True where a number is infinite, or in float32 would be."""
    values, bad = _numbers_as_written(column, missing, decimal, grouped)
    infinite = np.abs(values) > LARGEST
    return np.where(infinite, np.nan, values), bad, infinite


def _numbers_as_written(
    column: pd.Series[Any], missing: Missing, decimal: str, grouped: bool
) -> Values:
    types = pd.api.types
    if types.is_timedelta64_dtype(column):
        column = column.dt.total_seconds()
    if types.is_numeric_dtype(column):
        values = column.to_numpy(dtype=float, na_value=np.nan, copy=True)
        if missing.more:
            values[is_missing(column, missing)] = np.nan
        return values, np.zeros(len(column), bool)
    if types.is_datetime64_any_dtype(column):
        return np.full(len(column), np.nan), column.notna().to_numpy()

    def number(value: Any) -> float:
        if isinstance(value, _NUMBERS) and not isinstance(value, bool):
            return float(value)
        found = number_in(str(value), decimal, grouped=grouped)
        return np.nan if found is None else found

    return _parsed(column, missing, lambda values: np.array([number(v) for v in values]))


def days_of(column: pd.Series[Any], missing: Missing, order: str = ISO) -> Values:
    """(n,) whole days since 1970 by UTC, NaN where missing, and (n,) True where it is no date.

    Args:
        column: (n,) values.
        missing: the words for "no value".
        order: of the parts of dates written as texts; see ``evenhand.tasks.dates``.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        return _days(column), np.zeros(len(column), bool)
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        return np.full(len(column), np.nan), column.notna().to_numpy()
    return _parsed(column, missing, lambda values: _days(_dates(values, order)))


def categories_of(column: pd.Series[Any], missing: Missing) -> tuple[IntArray, list[str | None]]:
    """(n,) codes and what each code stands for: the name of a value, None where it is missing."""
    codes, values = _factorized(column)
    known = [missing.name(value) for value in values]
    return np.where(codes < 0, len(known), codes).astype(np.int64), [*known, None]


def is_missing(column: pd.Series[Any], missing: Missing) -> npt.NDArray[np.bool_]:
    """(n,) True where a value is missing, or a word that says so."""
    codes, names = categories_of(column, missing)
    return np.array([name is None for name in names])[codes]


def _factorized(column: pd.Series[Any]) -> tuple[Any, list[Any]]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(), list(column.cat.categories)
    codes, values = pd.factorize(np.asarray(column, dtype=object), use_na_sentinel=True)
    return codes, list(values)


def _parsed(
    column: pd.Series[Any], missing: Missing, parse: Callable[[list[Any]], npt.NDArray[Any]]
) -> Values:
    """Each different value parsed once."""
    codes, values = _factorized(column)
    absent = np.array([missing.name(value) is None for value in values] + [True])
    raw = np.concatenate([np.asarray(parse(values), dtype=float), [np.nan]])
    bad = np.isnan(raw) & ~absent
    return np.where(absent, np.nan, raw)[codes], bad[codes]


LARGEST = float(np.finfo(np.float32).max)
"""Numbers beyond those of float32 count as infinite."""


def _dates(values: list[Any], order: str) -> pd.Series[Any]:
    """Dates as ISO 8601 writes them, texts in the order given; NaT for anything else."""
    plain = [
        iso(value.strip(), order)
        if isinstance(value, str)
        else str(value)
        if isinstance(value, _DATES)
        else None
        for value in values
    ]
    return pd.to_datetime(
        pd.Series(plain, dtype=object), errors="coerce", format="ISO8601", utc=True
    )


def _days(dates: pd.Series[Any]) -> npt.NDArray[np.float64]:
    """Days, floored from whatever unit and zone the moments have."""
    if getattr(dates.dtype, "tz", None) is not None:
        dates = dates.dt.tz_convert("UTC").dt.tz_localize(None)
    days = dates.to_numpy().astype("datetime64[D]")
    return np.where(np.isnat(days), np.nan, days.astype(np.int64).astype(float))
