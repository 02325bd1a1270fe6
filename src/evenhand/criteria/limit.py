"""A limit on a criterion's figure, as it is written: ``equalized_odds<=0.1``."""

from __future__ import annotations

import math
import re

from evenhand.criteria.criterion import Criterion
from evenhand.errors import InputError

FORM = re.compile(r"(?P<name>[^<>=]*)(?P<sign>[<>]?=)(?P<number>[^<>=]*)")


def parse_limit(text: str) -> tuple[Criterion, float]:
    """``"equalized_odds=0.10"`` as a criterion and a number.

    ``<=`` may be written for a gap, which is bounded from above, and ``>=`` for a level, which is
    bounded from below; ``=`` is either. A criterion of one's own is imported: ``module:name<=0.1``.

    Raises:
        InputError: it is written otherwise, there is no such criterion, or the sign is the other's.
    """
    found = FORM.fullmatch(text)
    number = _number(found["number"]) if found else math.nan
    if found is None or math.isnan(number):
        raise InputError(
            "a limit is written criterion=number, as equalized_odds=0.1, "
            f"not {text[:80]!r}; a level as worst_group_accuracy>=0.8"
        )
    criterion = Criterion.load(found["name"].strip())
    sign = criterion.sign
    if found["sign"] not in ("=", sign):
        side = "above" if criterion.kind == "gap" else "below"
        raise InputError(
            f"{criterion} is a {criterion.kind}, bounded from {side}: {criterion}{sign}{number:g}"
        )
    return criterion, number


def in_words(criterion: Criterion, limit: float) -> str:
    """``ΔEO at most 0.1``, or ``WGA at least 0.8``."""
    return f"{criterion.symbol} {criterion.side} {limit:g}"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
