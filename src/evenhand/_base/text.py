"""Numbers, names and tables as text that is safe to show."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MISSING = "n/a"


def number(value: float | None, digits: int = 3) -> str:
    """``value`` with a fixed number of digits and no leading zero; n/a where undefined."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return re.sub(r"^(-?)0\.", r"\1.", text)


def plain_number(value: float, digits: int = 3) -> str:
    """``value`` in a sentence, with a leading zero; n/a where undefined."""
    return f"{value:.{digits}f}" if math.isfinite(value) else MISSING


def seconds(value: float) -> str:
    """A time in seconds with about three digits."""
    if not math.isfinite(value):
        return MISSING
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def plural(count: int, noun: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def listed(names: Iterable[str], most: int = 8, *, between: str = ", ") -> str:
    """Names in one line, the rest counted."""
    names = list(names)
    shown = between.join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}


_JOINERS = {"\u200d", "\u200c"}


def visible(text: Any) -> str:
    """``text`` with control and direction characters written out, so that it cannot act.

    Letters of any script and emoji (joined ones too) stay as they are.
    """
    shown = str(text)
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(_escape(c) if _acts(c) else c for c in shown)


def visible_lines(text: Any) -> str:
    """``text`` of several lines with all that could act on a terminal written out."""
    return "\n".join(map(visible, str(text).split("\n")))


def as_json(value: Any, *, indent: int | None = 2) -> str:
    """``value`` as JSON in the letters of its language; what could act on a terminal is escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    # JSON escapes what lies below a space itself: a line break here is one of the layout.
    for letter in sorted(set(text) - {"\n"}):
        if _acts(letter):
            text = text.replace(letter, _json_escape(letter))
    return text


def _acts(letter: str) -> bool:
    """Whether a letter has no shape of its own, and moves, hides or turns the letters around it."""
    return unicodedata.category(letter) in _HIDDEN and letter not in _JOINERS


def _escape(letter: str) -> str:
    return f"\\u{ord(letter):04x}"


def _json_escape(letter: str) -> str:
    return _escape(letter) if ord(letter) < 0x10000 else json.dumps(letter)[1:-1]


def columns(text: str) -> int:
    """How many terminal columns ``text`` takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    none = sum(unicodedata.combining(c) > 0 or c in _JOINERS or c == "\ufe0f" for c in text)
    return len(text) + wide - none


def fitted(text: Any, width: int, *, right: bool = False) -> str:
    """``text`` cut with … or padded to exactly ``width`` terminal columns."""
    shown = visible(text)
    if columns(shown) > width:
        while columns(shown) > width - 1:
            shown = shown[:-1]
        shown += "…"
    pad = " " * (width - columns(shown))
    return pad + shown if right else shown + pad


_FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet begins a formula at; of any width and height, as it reads all of them."""


def csv_safe(value: Any) -> Any:
    """``value`` such that a spreadsheet takes it for text and a terminal shows it.

    No cell starts a formula, and control and direction characters are written out.
    """
    if not isinstance(value, str):
        return value
    shown = visible(value)
    if not unicodedata.normalize("NFKC", value.lstrip()[:1]).startswith(_FORMULA):
        return shown
    try:
        float(value)
    except ValueError:
        return "'" + shown
    return value


def frame_to_csv(frame: pd.DataFrame) -> str:
    """A table as CSV with no cell or column name that acts as a formula."""
    import pandas as pd

    safe = frame.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = safe[column].map(csv_safe)
    safe.columns = pd.Index([csv_safe(str(column)) for column in safe.columns])
    return str(safe.to_csv(index=False, lineterminator="\n"))
