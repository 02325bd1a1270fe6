"""Which values of a table say that there is none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from evenhand._base.names import name_of

MISSING = (
    *("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-NaN", "-nan", "NaT"),
    *("null", "NULL", "None"),
)
"""What reads as missing in a column that is not one of texts. "none" is a value."""


NOTHING = ("NAType", "NaTType")
"""The types of pandas' own words for no value, told by name: it need not be loaded for them."""


class Missing:
    """The words for "no value" in a table.

    Args:
        more: words of the table's owner, such as "none" or "-1", beside ``MISSING``.
    """

    def __init__(self, more: Iterable[Any] = ()) -> None:
        given = [more] if isinstance(more, str) else more
        self.more = tuple(dict.fromkeys(name_of(word) for word in given))
        self.words = frozenset(MISSING) | frozenset(self.more)

    def name(self, value: Any) -> str | None:
        """The name of ``value``, None where it is missing: null, NaN, or one of the words."""
        if value is None or type(value).__name__ in NOTHING:
            return None
        if not isinstance(value, str) and value != value:
            return None
        name = name_of(value)
        return None if name in self.words else name
