"""From a value to its name: equal values have one name, whatever their type or spelling."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np

CROSSED = " × "
"""Between the names of groups, and of columns, that are crossed."""


_WHOLE = re.compile(r"([+-]?)(\d{1,18})(?:\.0*)?", re.ASCII)


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


_UNSEEN = "\ufeff\u200b\u2060"
"""A byte-order mark and spaces without width, which no eye finds at the ends of a word."""


def name_of(value: Any) -> str:
    """The name of a value: a class, a group, or the value of any column that holds such.

    1, 1.0, ``"1"`` and ``"1.0"`` are ``"1"``; True is ``"True"``; a text has no space around it
    and one form of every accented letter (NFC). A day without a time is the day alone.

    Args:
        value: a number, a text, a truth value, a date, bytes of UTF-8; not a missing value.
    """
    if isinstance(value, str):
        text = unicodedata.normalize("NFC", value).strip().strip(_UNSEEN).strip()
        whole = _WHOLE.fullmatch(text)
        return _whole(whole) if whole and "." in text else text
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating | Decimal):
        finite = math.isfinite(value)
        return str(int(value)) if finite and value == int(value) else str(value)
    if isinstance(value, bytes):
        return name_of(value.decode("utf-8", errors="replace"))
    if isinstance(value, datetime):
        midnight = value.time() == time()
        return value.date().isoformat() if midnight else value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    return name_of(str(value))


def _whole(found: re.Match[str]) -> str:
    sign, digits = found.groups()
    return ("-" if sign == "-" and int(digits) else "") + digits


def in_order(names: Iterable[str]) -> list[str]:
    """Names in order: numbers by size, then texts by letter."""
    return sorted(names, key=_place)


def _place(name: str) -> tuple[int, float, str]:
    return (0, float(name), name) if _NUMBER.fullmatch(name) else (1, 0.0, name)


def is_fractional(name: str) -> bool:
    """Whether ``name`` is a number that is not whole."""
    return bool(_NUMBER.fullmatch(name)) and float(name) % 1 != 0
