"""What an option of a request may hold: checks from what a file or a flag says to a value."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evenhand.errors import InputError


def _short() -> reprlib.Repr:
    shown = reprlib.Repr()
    shown.maxstring = shown.maxother = shown.maxlong = 80
    return shown


SHORT = _short()
"""Shows a value of any size in a line."""


def text(value: Any) -> str:
    """A text; a number is written out."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise InputError(f"expected a text, found {SHORT.repr(value)}")


def path(value: Any) -> Path:
    """A path."""
    return value if isinstance(value, Path) else Path(text(value))


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts, or one with commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple) and value:
        return tuple(text(part) for part in value)
    raise InputError(f"expected a list of texts, such as [sex, race], found {SHORT.repr(value)}")


def words(value: Any) -> tuple[str, ...]:
    """Texts, each as it is."""
    if isinstance(value, str):
        return (value,)
    return texts(list(value) if isinstance(value, list | tuple) else [value])


def one_of(options: tuple[str, ...]) -> Callable[[Any], str]:
    """A check that a value is one of ``options``."""

    def check(value: Any) -> str:
        if value not in options:
            near = difflib.get_close_matches(str(value)[:80], options, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{SHORT.repr(value)} is not one of {', '.join(options)}{hint}")
        return str(value)

    return check


def number(low: float, high: float) -> Callable[[Any], float]:
    """A check that a value is a number from ``low`` to ``high``."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"expected a number, found {SHORT.repr(value)}")
        if not low <= value <= high:
            raise InputError(
                f"expected a number from {low:g} to {high:g}, found {SHORT.repr(value)}"
            )
        return float(value)

    return check


def whole(low: int, high: int) -> Callable[[Any], int]:
    """A check that a value is a whole number from ``low`` to ``high``."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(
                f"expected a whole number from {low} to {high}, found {SHORT.repr(value)}"
            )
        return value

    return check


def yes(value: Any) -> bool:
    """Yes or no."""
    if isinstance(value, bool):
        return value
    raise InputError(f"expected true or false, found {SHORT.repr(value)}")
