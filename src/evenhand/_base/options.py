"""Options that a function takes by name, with their defaults in one table."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from evenhand.errors import InputError


def with_defaults(
    defaults: Mapping[str, Any], given: Mapping[str, Any], what: str
) -> dict[str, Any]:
    """What is ``given``, and the defaults of the rest.

    Raises:
        InputError: no such option; the message names ``what`` takes it, and the nearest there is.
    """
    for name in given:
        if name not in defaults:
            near = difflib.get_close_matches(name, defaults, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise InputError(f"{what} has no option {name!r}{hint} It has {', '.join(defaults)}")
    return {**defaults, **given}
