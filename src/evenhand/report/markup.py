"""Numbers and names as text: for a page, a terminal, Markdown and CSV."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from evenhand._base.text import MISSING, number, visible
from evenhand.metrics.intervals import Interval


def percent(value: float | None, digits: int = 1) -> str:
    """A share in [0, 1] in per cent."""
    if value is None or not np.isfinite(value):
        return MISSING
    return f"{100 * value:.{digits}f} %"


def bounds(interval: Interval | tuple[float, float, float], digits: int = 3) -> str:
    """The ends of an interval, such as ``.05 to .14``."""
    _, low, high = interval
    if not np.isfinite(low):
        return MISSING
    return f"{number(low, digits)} to {number(high, digits)}"


_ACTS_ANYWHERE = re.compile(
    r"""[\\`*\[\]|~$@>]           # code, emphasis, links, cells, mathematics, mentions
    | (?<![^\W_])_ | _(?![^\W_])  # within a word an underscore is itself
    | :(?=//|\S+:)                # addresses and emoji
    | (?<=www)\.
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ACTS_FIRST = re.compile(r"(\A\s*\d{0,9})([#+=-](?=[\s#=-]|\Z)|[.)](?=\s|\Z))")


def markdown(text: Any) -> str:
    """``text`` shown literally in Markdown, in a paragraph or a table's cell.

    What would act is escaped, and hardly more, so that the source can be read too.
    """
    escaped = _ACTS_ANYWHERE.sub(lambda found: f"\\{found[0]}", visible(text))
    escaped = _ACTS_FIRST.sub(_inert, escaped)  # a heading, a list, a line under a title
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def _inert(first: re.Match[str]) -> str:
    before, sign = first.groups()
    alone = not before.strip()
    return f"{before}\\{sign}" if alone == (sign not in ".)") else first[0]
