"""Dates as people write them: 2024-12-31, 31/12/2024, 12/31/2024, 31.12.2024, to the day."""

from __future__ import annotations

import re
from collections.abc import Iterable

ISO, DAY_FIRST, MONTH_FIRST = "", "day first", "month first"

_TIME = r"[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?"
_DATE = re.compile(rf"(\d{{1,2}})([./-])(\d{{1,2}})\2(\d{{4}})(?:{_TIME})?", re.ASCII)
MONTHS = 12


def iso(text: str, order: str) -> str | None:
    """The day of a date whose day or month comes first, as ISO 8601 writes it; None: it is none.

    Args:
        text: such as ``"31/12/2024"``, a time after it left out.
        order: ``DAY_FIRST``, ``MONTH_FIRST``; ``ISO``: the text as it is.
    """
    if order == ISO:
        return text
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return None
    first, second = int(found[1]), int(found[3])
    day, month = (first, second) if order == DAY_FIRST else (second, first)
    return f"{found[4]}-{month:02}-{day:02}"


def order_of(texts: Iterable[str]) -> str | None:
    """Whether the day or the month comes first in dates with a year of four digits at their end.

    Where no day is above 12, dates with points have the day first, and others may be either.

    Returns:
        ``ISO`` where no such dates are there; None where they may be either, or some are the one
        and some the other.
    """
    found = [date for text in texts if (date := _DATE.fullmatch(text.strip()))]
    if not found:
        return ISO
    day = any(int(date[1]) > MONTHS for date in found)
    month = any(int(date[3]) > MONTHS for date in found)
    if day == month:
        return DAY_FIRST if not day and all(date[2] == "." for date in found) else None
    return DAY_FIRST if day else MONTH_FIRST
