"""What a column to predict from holds: numbers, days or categories, or nothing to learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from evenhand.tasks.column_values import (
    categories_of,
    days_of,
    numbers_and_infinities_of,
    numbers_of,
)
from evenhand.tasks.dates import ISO, order_of
from evenhand.tasks.missing import Missing
from evenhand.tasks.numbers import are_codes, currencies, decimal_mark, parts_thousands
from evenhand.tasks.row_numbers import about_whole_numbers

MAX_CATEGORIES = 100
"""Categories with a number of their own, the one that the rare share among them."""


MOSTLY = 0.95
"""A text column of which this share are numbers (or dates) holds those, with some garbage."""


NUMBER, DAYS, CATEGORY = "number", "days", "category"


@dataclass(frozen=True)
class Told:
    """What a column holds.

    Attributes:
        kind: ``"number"``, ``"days"``, ``"category"``; None: it is left out.
        decimal: the decimal mark of numbers written as texts.
        grouped: the other mark parts thousands.
        notes: what was decided and may be wrong, or why it is left out.
        order: of the parts of dates written as texts.
    """

    kind: str | None
    decimal: str = "."
    notes: tuple[str, ...] = ()
    grouped: bool = False
    order: str = ISO


def tell(
    column: pd.Series[Any],
    missing: Missing,
    *,
    decimal: str | None = None,
    categorical: bool = False,
    keep: bool = False,
) -> Told:
    """What a column holds, told from all its values.

    Args:
        column: (n,) values, texts or typed.
        missing: the words for "no value".
        decimal: the decimal mark of numbers written as texts; None: the one that fits.
        categorical: its numbers are codes of categories.
        keep: row numbers are not left out.
    """
    name = str(column.name)
    codes, names = categories_of(column, missing)
    different = {text for text in names if text is not None}
    absent = any(names[code] is None for code in np.unique(codes))
    if not different or (len(different) == 1 and not absent):
        return Told(None, notes=(f"feature {name!r} has one value only and was left out",))
    if categorical or pd.api.types.is_bool_dtype(column):
        return _category(name, different, len(column))
    if not pd.api.types.is_numeric_dtype(column) and are_codes(different):
        said = f"feature {name!r} was read as codes, not numbers: some begin with a zero"
        codes_of = _category(name, different, len(column))
        return (
            codes_of if codes_of.kind is None else replace(codes_of, notes=(said, *codes_of.notes))
        )
    return (
        _as_numbers(column, missing, decimal, different, keep)
        or _as_days(column, missing, different)
        or _category(name, different, len(column), _numbers_among(column, missing, decimal))
    )


def _as_numbers(
    column: pd.Series[Any], missing: Missing, decimal: str | None, different: set[str], keep: bool
) -> Told | None:
    name = str(column.name)
    texts = [] if pd.api.types.is_numeric_dtype(column) else sorted(different)
    mark, doubtful = (decimal, False) if decimal or not texts else decimal_mark(texts)
    signs = currencies(texts)
    values, bad, infinite = numbers_and_infinities_of(column, missing, mark or ".")
    found = int(np.isfinite(values).sum())
    if not found or found < MOSTLY * (found + int(bad.sum())) or len(signs) > 1:
        return None
    if len(np.unique(values)) == 1:
        return Told(None, notes=(f"feature {name!r} has one value only and was left out",))
    dropped, notes = about_whole_numbers(name, values, keep=keep)
    if dropped:
        return Told(None, notes=tuple(notes))
    said = [f"{mark!r} as the decimal mark"] if mark == "," and not decimal else []
    said += [f"without {' and '.join(sorted(signs))}"] if signs else []
    said += ["% as hundredths"] if any("%" in text for text in texts) else []
    said += ["',' as a mark of thousands (decimal: ',' says otherwise)"] if doubtful else []
    if said:
        notes.append(f"feature {name!r} was read as numbers: {', '.join(said)}")
    notes += _garbage(name, int(bad.sum()), "numbers")
    notes += _garbage(name, int(infinite.sum()), "finite (or beyond 3.4e38)")
    return Told(NUMBER, mark or ".", tuple(notes), parts_thousands(texts, mark or "."))


def _as_days(column: pd.Series[Any], missing: Missing, different: set[str]) -> Told | None:
    name = str(column.name)
    order = ISO if pd.api.types.is_datetime64_any_dtype(column) else order_of(different)
    if order is None:
        why = (
            f"feature {name!r} holds dates of which it cannot be told whether the day or the month "
        )
        why += f"comes first: write them as 2024-12-31; it was read as {len(different)} texts"
        told = _category(name, different, len(column))
        return told if told.kind is None else Told(CATEGORY, notes=(why, *told.notes))
    values, bad = days_of(column, missing, order)
    found = int(np.isfinite(values).sum())
    if not found or found < MOSTLY * (found + int(bad.sum())):
        return None
    if len(np.unique(values)) == 1:
        return Told(None, notes=(f"feature {name!r} has one value only and was left out",))
    said = (f"feature {name!r} was read as dates, the {order}",) if order else ()
    return Told(DAYS, notes=said + _garbage(name, int(bad.sum()), "dates"), order=order)


def _garbage(name: str, bad: int, what: str) -> tuple[str, ...]:
    said = f"feature {name!r}: {bad} values are not {what} and count as missing"
    return (said,) if bad else ()


def _numbers_among(
    column: pd.Series[Any], missing: Missing, decimal: str | None
) -> tuple[int, int]:
    """How many values are numbers, of how many that are not missing."""
    values, bad = numbers_of(column, missing, decimal or ".")
    found = int(np.isfinite(values).sum())
    return found, found + int(bad.sum())


def _category(name: str, different: set[str], rows: int, numbers: tuple[int, int] = (0, 0)) -> Told:
    if len(different) == rows > MAX_CATEGORIES:
        why = f"feature {name!r} differs in every row, an identifier, and was left out"
        return Told(None, notes=(why,))
    found, present = numbers
    said: tuple[str, ...] = ()
    if found > present / 2:
        said = (
            f"feature {name!r}: {found} of {present} values are numbers, fewer than "
            f"{MOSTLY:.0%}: it was read as {len(different)} texts",
        )
    elif len(different) > MAX_CATEGORIES:
        said = (
            f"feature {name!r} has {len(different)} different texts: the {MAX_CATEGORIES - 1} "
            "most frequent are told apart",
        )
    return Told(CATEGORY, notes=said)
