"""From what a user gives as a place to a path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from evenhand._base.text import visible
from evenhand.errors import InputError

SHOWN = 40
"""Characters shown of a name that no system takes."""


def path_of(given: Any, what: str) -> Path:
    """The path that ``given`` names, there or not.

    Args:
        given: a text or a path.
        what: it is to be, for the error: ``"the folder of a run"``.

    Raises:
        InputError: something else, or a name that no file can have or that may not be looked at.
    """
    if not isinstance(given, str | os.PathLike):
        raise InputError(f"{what} is given as a text or a Path, found a {type(given).__name__}")
    if given == "":
        raise InputError(f"{what} is an empty text: give its name ('.' is the folder you are in)")
    try:
        path = Path(given)
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, TypeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{what}: {visible(str(given))[:SHOWN]}: {why}") from error
    return path
