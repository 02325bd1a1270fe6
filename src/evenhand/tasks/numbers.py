"""Numbers as people write them: 1,234.5 or 1.234,5 or 1 234,5; $1,234; 12 %; (1,234)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import numpy as np

from evenhand._base.arrays import FloatArray

MARKS = (".", ",")


CURRENCY = re.compile(
    r"[$€£¥₹₽₩₺₫฿₴₪₦]|R\$|zł|kr\.?|\b(?:USD|EUR|GBP|CHF|JPY|INR|CNY|AUD|CAD|SEK|NOK|DKK|PLN|BRL)\b"
)


_BODY = {
    mark: re.compile(
        rf"([1-9]\d{{0,2}}(?:[ '’{other}]\d{{3}})+|\d*)(?:{re.escape(mark)}(\d*))?"
        r"((?:[eE][+-]?\d{1,4})?)",
        re.ASCII,
    )
    for mark, other in ((".", ","), (",", "."))
}


_THOUSANDS = re.compile(r"[ '’.,]")


def number_in(text: str, mark: str = ".", *, grouped: bool = True) -> float | None:
    """The number that ``text`` writes, None where it writes none.

    Args:
        text: digits with a sign, spaces or marks between thousands, a currency or a percent sign
            (which divides by 100), or in parentheses (negative).
        mark: the decimal mark, ``"."`` or ``","``; the other may part thousands.
        grouped: read "1,579" as 1579. Without, a text in which the other mark may as well be the
            decimal mark is no number.
    """
    plain = unicodedata.normalize("NFKC", text).replace("−", "-").strip()
    if not plain or not any(c.isdecimal() for c in plain):
        return float(plain) if plain.lower().lstrip("+-") in ("inf", "infinity") else None
    scale = 1.0
    if plain.startswith("(") and plain.endswith(")"):
        plain, scale = plain[1:-1], -1.0
    if plain.endswith("%"):
        plain, scale = plain[:-1].rstrip(), scale / 100
    plain, currencies = CURRENCY.subn("", plain)
    plain = plain.strip()
    if plain[:1] in ("+", "-"):
        plain, scale = plain[1:].lstrip(), -scale if plain[0] == "-" else scale
    found = _BODY[mark].fullmatch(plain)
    if currencies > 1 or not found or not (found[1] or found[2]):
        return None
    if not grouped and found[2] is None and _parted_by_the_other(found[1], mark):
        return None
    whole = _THOUSANDS.sub("", found[1]) or "0"
    return scale * float(f"{whole}.{found[2] or '0'}{found[3]}")


def _parted_by_the_other(digits: str, mark: str) -> bool:
    """Whether one mark parts the digits, the one that is not the decimal mark."""
    return [c for c in digits if not c.isdigit()] == [MARKS[1 - MARKS.index(mark)]]


def parts_thousands(texts: Iterable[str], mark: str = ".") -> bool:
    """Whether the mark that is not the decimal one parts thousands in some of the texts."""
    other = MARKS[1 - MARKS.index(mark)]
    return any(other in text and number_in(text, mark) is not None for text in texts)


_WITH_ZERO = re.compile(r"0\d+", re.ASCII)


def are_codes(texts: Iterable[str]) -> bool:
    """Whether whole numbers are codes, such as 02139: some begin with a zero, which codes do.

    Numbers with a sign or a fraction among them ("-7", "00.50") are numbers.
    """
    texts = list(texts)
    whole = all(text.isascii() and text.isdigit() for text in texts)
    return whole and any(_WITH_ZERO.fullmatch(text) for text in texts)


def numbers_in(texts: Iterable[str], mark: str = ".") -> FloatArray:
    """The number of each text, NaN where it writes none."""
    found = (number_in(text, mark) for text in texts)
    return np.array([np.nan if number is None else number for number in found])


def decimal_mark(texts: Iterable[str]) -> tuple[str, bool]:
    """The decimal mark that more of the texts can be read with, and whether the other one can too.

    "1,234" alone may be 1234 or 1.234: the point is taken, so that it is the former.
    """
    texts = list(texts)
    point, comma = (int(np.isfinite(numbers_in(texts, mark)).sum()) for mark in MARKS)
    doubtful = point == comma and any("," in text for text in texts)
    return ("," if comma > point else "."), doubtful


def currencies(texts: Iterable[str]) -> set[str]:
    """The currency signs and codes in the texts."""
    return {found for text in texts for found in CURRENCY.findall(text)}
