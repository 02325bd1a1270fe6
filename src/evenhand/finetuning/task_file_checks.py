"""What each key of a task file may hold."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evenhand._base.text import visible
from evenhand.criteria import Criterion
from evenhand.errors import InputError

ERRORS = ("f1", "accuracy", "balanced", "log_loss")


PARTS = ("pretrain", "train", "valid", "test")


NEEDS_DATA = ("table", "images", "text", "celeba", "lfwa")


NEEDS_LABEL = ("table", "images", "text")


TASKS = ("adult", *NEEDS_DATA)


def _short() -> reprlib.Repr:
    shown = reprlib.Repr()
    shown.maxstring = shown.maxother = shown.maxlong = 80
    return shown


SHORT = _short()
"""Shows a value of any size in a line."""


def _text(value: Any) -> str:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise InputError(f"expected a text, found {SHORT.repr(value)}")


def _path(value: Any) -> Path:
    return Path(_text(value))


def _name(value: Any) -> str:
    """A name that can be that of a folder: results are kept under it."""
    name = _text(value)
    if name != name.strip(" .") or not name or len(name) > 100:
        raise InputError(f"expected 1 to 100 letters, no dot at an end, found {SHORT.repr(name)}")
    if any(c in '/\\:*?"<>|' for c in name) or visible(name) != name:
        raise InputError(
            f'a folder is called by it, so that it may hold no / \\ : * ? " < > | and nothing '
            f"that has no shape, found {SHORT.repr(name)}"
        )
    return name


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list) and value:
        return tuple(_text(part) for part in value)
    raise InputError(f"expected a list of texts, such as [sex, race], found {SHORT.repr(value)}")


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return _texts(value if isinstance(value, list) else [value])


def _one_of(options: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in options:
            near = difflib.get_close_matches(str(value)[:80], options, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{SHORT.repr(value)} is not one of {', '.join(options)}{hint}")
        return str(value)

    return check


def _number(low: float, high: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"expected a number, found {SHORT.repr(value)}")
        if not low <= value <= high:
            raise InputError(
                f"expected a number from {low:g} to {high:g}, found {SHORT.repr(value)}"
            )
        return float(value)

    return check


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(
                f"expected a whole number from {low} to {high}, found {SHORT.repr(value)}"
            )
        return value

    return check


def _split(value: Any) -> str | dict[str, float]:
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        raise InputError(
            f"expected a column's name or fractions such as {{train: .6, valid: .15, test: .25}}, "
            f"found {SHORT.repr(value)}"
        )
    shares = {str(part): _number(0, 1)(share) for part, share in value.items()}
    unknown = [part for part in shares if part not in PARTS]
    if unknown:
        raise InputError(f"unknown part {unknown[0]!r}; the parts are {', '.join(PARTS)}")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(f"the fractions must sum to 1, found {sum(shares.values()):g}")
    return shares


def _positive(value: Any) -> Any:
    if isinstance(value, (list, str, int, float)):
        return value
    raise InputError(f"expected a value of the label or a list of them, found {SHORT.repr(value)}")


CHECKS: dict[str, Callable[[Any], Any]] = {
    "task": _one_of(TASKS),
    "data": _path,
    "label": _text,
    "positive": _positive,
    "groups": _texts,
    "features": _texts,
    "drop": _texts,
    "categorical": _texts,
    "decimal": _one_of((".", ",")),
    "missing": _words,
    "file": _text,
    "metadata": _text,
    "text": _text,
    "delimiter": _text,
    "encoding": _text,
    "split": _split,
    "split_by": _text,
    "seed": _whole(0, 2**32 - 1),
    "model": _text,
    "weights": _text,
    "head": _text,
    "image_size": _whole(16, 4096),
    "max_length": _whole(1, 1_000_000),
    "criterion": lambda value: Criterion.parse(_text(value)).value,
    "bound": _number(0, 2),
    "confidence": _number(0.5, 0.999),
    "error": _one_of(ERRORS),
    "output": _path,
    "name": _name,
}
