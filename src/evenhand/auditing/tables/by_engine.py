"""Files that the embedded engine reads itself, where it reads them as everybody else here does.

Parquet of plain types, and CSV in UTF-8 without a line that does not fit. What a CSV holds is only
known once it is read, so that it is looked through while it is counted; see ``Relation.checked``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from evenhand.auditing.tables.embedded import Embedded
from evenhand.auditing.tables.parts import Part, described
from evenhand.auditing.tables.relation import TEXT, WHOLE, Relation, literal, quoted
from evenhand.tasks.csv_streams import Dialect
from evenhand.tasks.repeated_header import header_cells, header_line
from evenhand.tasks.total_row import TOTALS

BLOCK, LAST = 1 << 20, 1 << 16
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
    if all(isinstance(layout, Dialect) for layout in layouts):
        return _csv(parts, wanted) if len(set(layouts)) == 1 else None
    if not any(layout is None or isinstance(layout, Dialect) for layout in layouts):
        return _parquet(parts, wanted, score)
    return None


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
    origin = _union(parts, wanted, {c: quoted(c) for c in wanted}, "read_parquet({path})")
    engine, hashing = Embedded(), ThreadPoolExecutor(1)
    digests = [hashing.submit(getattr, part.table, "digest") for part in parts]
    hashing.shutdown(wait=False)

    def made_from() -> dict[str, Any]:
        for digest in digests:
            digest.result()
        return described(parts)

    return Relation(
        parts[0].table.label,
        _places(wanted),
        origin,
        engine,
        number,
        made_from=made_from,
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


def _csv(parts: Sequence[Part], wanted: Sequence[str]) -> Relation | None:
    dialect: Dialect = parts[0].table.layout
    if dialect.encoding != "utf-8" or dialect.spaced:
        return None
    names = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(len(dialect.header)))
    reader = (
        f"read_csv({{path}}, auto_detect=false, header=true, skip={dialect.lead}, "
        f"delim={literal(dialect.delimiter)}, quote='\"', escape='\"', columns={{{{{names}}}}})"
    )
    named = {c: f"c{dialect.header.index(c)}" for c in wanted if c in dialect.header}
    origin = _union(parts, wanted, named, reader)
    engine, looking = Embedded(), ThreadPoolExecutor(1)
    looked: list[Future[bool]] = [looking.submit(_fits, part, dialect) for part in parts]
    looking.shutdown(wait=False)
    return Relation(
        parts[0].table.label,
        _places(wanted),
        origin,
        engine,
        made_from=lambda: described(parts),
        checked=lambda: all([each.result() for each in looked]),
        error=engine.Error,
        close=engine.close,
    )


def _places(wanted: Sequence[str]) -> dict[str, str]:
    return {column: quoted(str(at)) for at, column in enumerate(wanted)}


def _union(parts: Sequence[Part], wanted: Sequence[str], named: dict[str, str], reader: str) -> str:
    """The columns of all files, called by their numbers; constants of a file as they are."""

    def selected(part: Part) -> str:
        columns = []
        for at, column in enumerate(wanted):
            if column in part.constants:
                value = part.constants[column]
                taken = "cast(null as varchar)" if value is None else literal(value)
            else:
                taken = named[column]
            columns.append(f"{taken} as {quoted(str(at))}")
        return f"select {', '.join(columns)} from "

    if any(part.constants for part in parts):
        each = [
            selected(part) + reader.format(path=literal(str(part.table.path))) for part in parts
        ]
        return f"({' union all '.join(each)})"
    paths = ", ".join(literal(str(part.table.path)) for part in parts)
    return f"({selected(parts[0])}{reader.format(path=f'[{paths}]')})"


def _fits(part: Part, dialect: Dialect) -> bool:
    """Whether a CSV holds none of what engines disagree on; its digest is made on the way.

    That is: an empty last field (which may be one field more than the header has), zero bytes, line
    ends of several kinds, a line that repeats the header, a last line that may be a total.
    """
    path, digest, before = part.table.path, hashlib.sha256(), b""
    if path is None:
        return False
    mark = dialect.delimiter.encode()
    ends, returns, pairs = (mark + b"\n", mark + b"\r", b"\0"), 0, 0
    plain = (ends[0], ends[2])  # of a block without returns, as most are: this is half the work
    header, fits = header_line(dialect.header, dialect.delimiter), True
    words = (word for cell in header_cells(dialect.header) for word in cell.split('"'))
    longest = max(words, key=len).encode()  # is looked for far quicker than a whole header
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            joined = before[-1:] + block
            turned = b"\r" in joined
            fits = fits and not any(end in joined for end in (ends if turned else plain))
            if turned:
                returns, pairs = returns + block.count(b"\r"), pairs + joined.count(b"\r\n")
            below = before + block if before else block.split(b"\n", dialect.lead)[-1]
            fits = fits and (longest not in below or header.search(below) is None)
            before = (before + block)[-LAST:] if len(block) < LAST else block[-LAST:]
    fits = fits and returns == pairs
    part.table.digest = digest.hexdigest()
    line = before.rstrip(b"\r\n").rpartition(b"\n")[2].decode("utf-8", "replace")
    said = {cell.strip("\" '").casefold().strip(":* ") for cell in line.split(dialect.delimiter)}
    return fits and not before.endswith(mark) and not said & TOTALS
