"""Whole numbers that are no measurements: row numbers, identifiers, codes of categories."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from evenhand._base.arrays import FloatArray

FEW = 20
"""Rows below which nothing is said of whole numbers that all differ."""


ROW_NUMBER = re.compile(
    r"(unnamed: ?\d+(\.\d+)*)?|index|level_0|nr|#|row|row[ _.-]?(number|num|no|names?|id)",
    re.IGNORECASE,
)
"""Names that libraries and people give to row numbers; an empty one too."""


IDENTIFIER = re.compile(
    r"(?i:(.*[ _.-])?(id|uid|uuid|guid|key|identifier|number|no|nr|index))|.*[a-z]I[dD]"
)
"""Names of identifiers; caseId is one, and paid is none."""


def about_whole_numbers(
    name: str, values: FloatArray, *, keep: bool = False
) -> tuple[bool, list[str]]:
    """Whether a column of numbers is to be left out, and what is to be said of it.

    Args:
        name: of the column.
        values: (n,) floats, NaN where missing.
        keep: never leave it out.
    """
    numbers = values[np.isfinite(values)]
    whole = bool(len(numbers)) and bool((numbers % 1 == 0).all())
    if not whole:
        return False, []
    different = np.unique(numbers)
    all_differ = len(different) == len(numbers) == len(values) >= FEW
    in_a_row = (
        all_differ and different[0] in (0, 1) and different[-1] - different[0] == len(numbers) - 1
    )
    unnamed = ROW_NUMBER.fullmatch(name) is not None and (all_differ or not _speaks(name))
    if not keep and (in_a_row or unnamed):
        return True, [f"feature {name!r} numbers the rows and was left out"]
    if all_differ and not keep and IDENTIFIER.fullmatch(name):
        return True, [f"feature {name!r} differs in every row, an identifier, and was left out"]
    if all_differ:
        return False, [
            f"feature {name!r} is a whole number that differs in every row: if it is an "
            f"identifier, leave it out (drop: [{name}])"
        ]
    if _like_codes(different, len(numbers)):
        return False, [
            f"feature {name!r} has {len(different)} different whole numbers that look like codes: "
            f"if they are, say so (categorical: [{name}])"
        ]
    return False, []


def _speaks(name: str) -> bool:
    """Whether a name like a row number's may also be somebody's own."""
    return bool(name) and not name.lower().startswith("unnamed")


def _like_codes(different: np.ndarray[Any, Any], rows: int) -> bool:
    """Few values with holes between them, as 1121, 1131, 2110: measurements fill their range."""
    if not 3 <= len(different) <= min(50, rows / 10):
        return False
    steps = np.diff(different)
    return bool(different[-1] - different[0] + 1 > 2 * len(different) and len(set(steps)) > 1)
