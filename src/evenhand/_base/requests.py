"""Requests: each option once, as a field of a dataclass that files, flags and Python speak.

A field is a key of a file, a flag of the command line, a keyword and a key of a run's config.yaml.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Any

from evenhand.errors import InputError


def option(
    default: Any,
    reads: Callable[[Any], Any],
    words: str,
    *,
    flag: str | None = None,
    many: bool = False,
    **more: Any,
) -> Any:
    """A field of a request.

    Args:
        default: what holds where nothing is asked.
        reads: from what a file or a flag says to the value; it raises an InputError.
        words: what the option is, for ``--help``.
        flag: its flag, where it is not its name.
        many: the flag may be repeated.
        more: what else a request keeps of its options.
    """
    told = {"reads": reads, "help": words, "flag": flag, "many": many}
    return field(default=default, metadata=told | more)


class Options(dict[str, Any]):
    """The options of a request by their name: its fields.

    Attributes:
        flags: name to flag.
    """

    def __init__(self, request: Any) -> None:
        super().__init__({one.name: one for one in fields(request)})
        self.flags = {
            name: one.metadata["flag"] or "--" + name.replace("_", "-")
            for name, one in self.items()
        }

    def checked(self, key: str, value: Any) -> Any:
        """The value of an option, as a file or a flag gives it.

        Raises:
            InputError: no such option, or a value that cannot be; the message names the flag.
        """
        if key not in self:
            near = difflib.get_close_matches(str(key), self, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"no option {key!r}{hint} There are {', '.join(self)}")
        try:
            return self[key].metadata["reads"](value)
        except InputError as error:
            raise InputError(f"{self.flags[key].partition('/')[0]}: {error}") from error


def plain(value: Any) -> Any:
    """The value of an option as config.yaml holds it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(one) for key, one in value.items()}
    if isinstance(value, str):
        return str(value)  # of a name that knows more, the name
    return list(value) if isinstance(value, tuple) else value
