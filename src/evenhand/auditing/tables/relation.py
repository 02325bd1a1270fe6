"""A table that an engine counts: what a query names, and how it is run."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evenhand._base.text import listed, visible
from evenhand.errors import InputError

TEXT, WHOLE = "text", "whole"
FLOATS = ("float16", "float32", "float64")


@dataclass(eq=False)
class Relation:
    """Columns behind an engine, in the words of DuckDB's SQL.

    Attributes:
        label: what errors and notes call it.
        places: each column that is read to its name in a query.
        origin: what stands after FROM.
        run: a query to an Arrow table of its answer.
        number: what the scores are kept as: ``TEXT``, ``WHOLE`` or one of ``FLOATS``.
        weight: how many rows a row stands for.
        is_nan: whether a double is no number, around ``{}``.
        notes: what was left out; complete once the first query is answered.
        made_from: of what file or database, for the record.
        error: what the engine raises where it cannot answer.
        close: lets go of the engine.
    """

    label: str
    places: Mapping[str, str]
    origin: str
    run: Callable[[str], Any]
    number: str = TEXT
    weight: str = "1"
    is_nan: str = "isnan({})"
    notes: list[str] = field(default_factory=list)
    made_from: Callable[[], dict[str, Any]] = dict
    error: type[Exception] = RuntimeError
    close: Callable[[], None] = lambda: None


class MissingColumnError(InputError):
    """A table has no column of that name.

    Attributes:
        column: the name.
    """

    def __init__(self, column: str, said: str) -> None:
        super().__init__(said)
        self.column = column


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def check_columns(present: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Refuse columns that are not there, or are there twice.

    Raises:
        MissingColumnError: one of them is missing.
        InputError: one is there twice.
    """
    for name in wanted:
        times = list(present).count(name)
        if times > 1:
            raise InputError(
                f"{where} has {times} columns named {visible(name)!r}: rename or drop all but one"
            )
        if times == 0:
            near = difflib.get_close_matches(name, present, n=3, cutoff=0.5)
            folded = [c for c in present if c.strip().casefold() == name.strip().casefold()]
            hints = [visible(c) for c in dict.fromkeys(folded + near)]
            hint = f" Nearest: {', '.join(map(repr, hints))}." if hints else ""
            raise MissingColumnError(
                name,
                f"{where} has no column {visible(name)!r}; it has {len(present)}: "
                f"{listed([visible(c) for c in present], 20)}.{hint}",
            )
