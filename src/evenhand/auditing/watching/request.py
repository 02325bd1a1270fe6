"""What can be asked of ``evenhand watch``: every option once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from evenhand._base import option_checks as check
from evenhand._base.requests import Options, option
from evenhand.auditing.limits import gap_limits
from evenhand.auditing.place import join_option, on_option, query_option, table_option
from evenhand.errors import InputError


@dataclass(frozen=True)
class WatchRequest:
    """What is asked of a look at new decisions, checked; see the ``help`` of each field."""

    label: str | None = option(
        None, check.text, "Column of what was true; default: the run's, where it is there."
    )
    groups: tuple[str, ...] = option(
        (), check.words, "Group column; default: the run's.", flag="--group", many=True
    )
    prediction: str | None = option(
        None, check.text, "Column of what was decided; default: decision, as predict writes it."
    )
    bound: Mapping[str, float] | None = option(
        None,
        gap_limits,
        "What is watched, as equalized_odds=0.1; default: the run's bounds. Repeatable.",
        many=True,
    )
    alarms: float = option(
        0.05,
        check.number(1e-6, 0.5),
        "In how large a share of series that keep the promise a false alarm may come; default .05.",
    )
    window: int = option(
        5000,
        check.whole(1, 10**12),
        "Rows of a window: each is judged anew, so that a late change is seen; default 5000.",
    )
    labelled_later: bool = option(
        False,
        check.yes,
        "The rows were counted before, when they had no label: count them for labels alone.",
    )
    missing: tuple[str, ...] = option(
        (), check.words, "Further word for a missing value; repeatable.", many=True
    )
    delimiter: str | None = option(None, check.text, "Between columns; found by default.")
    encoding: str | None = option(None, check.text, "Of the file; UTF-8 by default.")
    table: str | None = table_option()
    query: str | None = query_option()
    join: tuple[str, ...] = join_option()
    on: tuple[str, ...] = on_option()

    @classmethod
    def of(cls, **given: Any) -> Self:
        """A request of what is ``given``; None and empty lists ask for nothing.

        Raises:
            InputError: no such option, or a value that cannot be.
        """
        named = {
            key: value
            for key, value in given.items()
            if value is not None and not (isinstance(value, list | tuple) and not value)
        }
        made = cls(**{key: OPTIONS.checked(key, value) for key, value in named.items()})
        if made.table is not None and made.query is not None:
            raise InputError("give a table (--table) or a query (--query), not both")
        return made


OPTIONS = Options(WatchRequest)
"""Every option by its name."""
