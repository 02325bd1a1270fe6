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


def markdown(text: Any) -> str:
    """``text`` shown literally in a Markdown table cell."""
    escaped = re.sub(r"([\\`*_{}\[\]()#+\-.!|~$>@:])", r"\\\1", visible(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")
