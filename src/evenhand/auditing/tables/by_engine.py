"""Parquet files, which the embedded engine reads itself where their columns are of plain types.

A CSV it does not read: it takes other lines for rows than everybody else here, and takes no longer
over texts that come from Arrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evenhand.auditing.tables.embedded import Embedded
from evenhand.auditing.tables.parts import Part, described_meanwhile
from evenhand.auditing.tables.relation import TEXT, WHOLE, Relation, literal, quoted
from evenhand.tasks.csv_streams import Dialect

OTHER = "no number"
ACTS = set("*?[]{}")
"""In a path, these make a pattern of it."""


def engine_reads(
    parts: Sequence[Part], wanted: Sequence[str], score: str | None
) -> Relation | None:
    """The files as one relation; None where the engine might read one of them otherwise."""
    layouts = [part.table.layout for part in parts]
    paths = [part.table.path for part in parts]
    if any(path is None or ACTS & set(str(path)) for path in paths):
        return None
    if any(layout is None or isinstance(layout, Dialect) for layout in layouts):
        return None
    return _parquet(parts, wanted, score)


def _parquet(parts: Sequence[Part], wanted: Sequence[str], score: str | None) -> Relation | None:
    number = TEXT
    for column in wanted:
        if column in parts[0].constants:
            continue
        kinds = {_kind(part.table.layout.field(column).type) for part in parts}
        if len(kinds) > 1 or None in kinds:
            return None
        if column == score:
            number = kinds.pop() or TEXT
            if number == OTHER:
                return None
    for part in parts:
        names = [name.casefold() for name in part.table.layout.names]
        if len(set(names)) < len(names):
            return None  # the engine tells no large letters from small
    origin = _union(parts, wanted)
    engine = Embedded()
    return Relation(
        parts[0].table.label,
        _places(wanted),
        origin,
        engine,
        number,
        made_from=described_meanwhile(parts),
        error=engine.Error,
        close=engine.close,
    )


def _kind(kind: Any) -> str | None:
    """What a column of an Arrow type is kept as; None where the engine may see it otherwise."""
    import pyarrow as arrow

    types = arrow.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_string(kind) or types.is_large_string(kind):
        return TEXT
    if types.is_boolean(kind) or types.is_date32(kind):
        return OTHER
    if types.is_integer(kind):
        return WHOLE
    return {"float": "float32", "double": "float64"}.get(str(kind))  # its half floats lose NaN


def _places(wanted: Sequence[str]) -> dict[str, str]:
    return {column: quoted(str(at)) for at, column in enumerate(wanted)}


def _union(parts: Sequence[Part], wanted: Sequence[str]) -> str:
    """The columns of all files, called by their numbers; constants of a file as they are."""

    def selected(part: Part) -> str:
        columns = []
        for at, column in enumerate(wanted):
            if column in part.constants:
                value = part.constants[column]
                taken = "cast(null as varchar)" if value is None else literal(value)
            else:
                taken = quoted(column)
            columns.append(f"{taken} as {quoted(str(at))}")
        return f"select {', '.join(columns)} from "

    if any(part.constants for part in parts):
        each = [f"{selected(part)}read_parquet({literal(str(part.table.path))})" for part in parts]
        return f"({' union all '.join(each)})"
    paths = ", ".join(literal(str(part.table.path)) for part in parts)
    return f"({selected(parts[0])}read_parquet([{paths}]))"
