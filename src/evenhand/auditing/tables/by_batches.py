"""Tables that everybody reads a batch at a time, handed to the embedded engine by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from evenhand._base.text import visible
from evenhand.auditing.request import AuditRequest
from evenhand.auditing.tables.batch_values import keys_of, numbers_of, texts_of
from evenhand.auditing.tables.embedded import Embedded
from evenhand.auditing.tables.joining import (
    FOUND,
    Joined,
    check_keys,
    columns_by_table,
    partners,
    whole,
)
from evenhand.auditing.tables.parts import Part, described_meanwhile
from evenhand.auditing.tables.relation import Relation, check_columns, quoted
from evenhand.errors import InputError
from evenhand.tasks.missing import Missing
from evenhand.tasks.table_file import TableFile


def in_batches(
    parts: Sequence[Part], wanted: Sequence[str], score: str | None, missing: Missing
) -> Relation:
    """The tables as one relation of names and scores, counted once by all its columns.

    Raises:
        InputError: a score that is no number, columns of nested values, no rows.
    """
    reading = _Reading(parts, wanted, _numbered(wanted, wanted), score, missing)
    made_from = described_meanwhile(parts)
    reading.begin()  # Arrow reads on while the engine is loaded
    engine = Embedded()
    names = ", ".join(map(quoted, reading.names))
    made = f"counted as select {names}, count(*) as n from batches group by all"
    try:
        _make(engine, made, reading)
    except InputError:
        engine.close()
        raise
    return _relation(parts, wanted, engine, reading.number, made_from)


def in_batches_joined(
    tables: Sequence[Sequence[Part]], asked: AuditRequest, missing: Missing
) -> Relation:
    """Several tables as one: the first streams by the others, which are kept.

    Args:
        tables: the files of each table; the first holds the decisions.
        asked: the columns, the keys and the score.
        missing: the words for no value.

    Raises:
        InputError: as ``in_batches``; a key that is not there, or there twice.
    """
    wanted, on = asked.columns, asked.on
    labels = [parts[0].table.label for parts in tables]
    for parts in tables:
        for part in parts:
            check_columns(part.columns, on, part.table.label)
    held = [(label, parts[0].columns) for label, parts in zip(labels, tables, strict=True)]
    own = columns_by_table(held, wanted, on)
    keys = [f"key{at}" for at in range(len(on))]
    readings = [
        _Reading(parts, [*on, *of], [*keys, *_numbered(of, wanted)], asked.score, missing, len(on))
        for parts, of in zip(tables, own, strict=True)
    ]
    origins = ["batches", *(f"t_{at}" for at in range(1, len(tables)))]
    joined = [
        Joined(origin, keys, {name: name for name in _numbered(of, wanted)})
        for origin, of in zip(origins, own, strict=True)
    ]
    found = [f"{FOUND}{at}" for at in range(1, len(tables))]
    kept = ", ".join([*map(quoted, _numbered(wanted, wanted)), *found])
    every = [part for parts in tables for part in parts]
    made_from, engine = described_meanwhile(every), Embedded()
    try:
        for origin, reading in zip(origins[1:], readings[1:], strict=True):
            _make(engine, f"{origin} as select * from batches", reading)
        check_keys(engine, dict(zip(labels[1:], joined[1:], strict=True)), on)
        made = f"counted as select {kept}, count(*) as n from {whole(joined)} group by all"
        _make(engine, made, readings[0])
        number = next((each.number for each in readings if each.number), "")
        relation = _relation(every, wanted, engine, number, made_from)
        relation.notes += partners(engine, "counted", "n", labels[1:], on)
    except InputError:
        engine.close()
        raise
    return relation


def _numbered(columns: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """What columns are called: their numbers, for the engine tells no large letters from small."""
    return [str(list(wanted).index(column)) for column in columns]


def _make(engine: Embedded, made: str, reading: _Reading) -> None:
    """Make a table of the batches of some files."""
    import pyarrow as arrow

    label, (schema, batches) = reading.parts[0].table.label, reading.begin()
    try:
        reader = arrow.RecordBatchReader.from_batches(schema, batches)
        engine.connection.register("batches", reader)
        engine.connection.execute(f"create temp table {made}")
        engine.connection.unregister("batches")
    except (engine.Error, arrow.ArrowException, OSError) as error:
        if reading.refused is not None:  # the engine tells it as an error of its own
            raise reading.refused from None
        raise InputError(f"{label} cannot be counted: {str(error).splitlines()[0]}") from error


def _relation(
    parts: Sequence[Part],
    wanted: Sequence[str],
    engine: Embedded,
    number: str,
    made_from: Callable[[], dict[str, Any]],
) -> Relation:
    return Relation(
        parts[0].table.label,
        dict(zip(wanted, map(quoted, _numbered(wanted, wanted)), strict=True)),
        "counted",
        engine,
        number,
        weight="n",
        notes=[note for part in parts for note in part.table.notes],
        made_from=made_from,
        close=engine.close,
    )


@dataclass(eq=False)
class _Reading:
    """One pass over the files.

    Attributes:
        parts, wanted: the files and the columns.
        names: what the columns are called in a batch.
        score, missing: the column of scores; the words for no value.
        keys: so many of the columns, the first, are keys.
        number: what the scores are kept as.
        refused: what was wrong with a batch.
    """

    parts: Sequence[Part]
    wanted: Sequence[str]
    names: Sequence[str]
    score: str | None
    missing: Missing
    keys: int = 0
    number: str = ""
    refused: InputError | None = None
    _begun: tuple[Any, Iterator[Any]] | None = None

    def begin(self) -> tuple[Any, Iterator[Any]]:
        """The schema of the batches, and all of them; the first is read.

        Raises:
            InputError: there is none.
        """
        if self._begun is None:
            batches = self.batches()
            first = next(batches, None)
            if first is None:
                raise InputError(f"{self.parts[0].table.label} has a header and no rows")
            self._begun = first.schema, chain([first], batches)
        return self._begun

    def batches(self) -> Iterator[Any]:
        """Batches of keys, names and scores."""
        import pyarrow as arrow

        try:
            for part in self.parts:
                read = [column for column in self.wanted if column not in part.constants]
                for batch in part.table.read([part.table.place(column) for column in read]):
                    columns = []
                    for at, column in enumerate(self.wanted):
                        if column in part.constants:
                            words = arrow.repeat(
                                arrow.scalar(part.constants[column], arrow.string()), len(batch)
                            )
                        else:
                            words = batch.column(read.index(column))
                        is_key = at < self.keys
                        columns.append(self._taken(words, column, part.table, is_key=is_key))
                    yield arrow.RecordBatch.from_arrays(columns, list(self.names))
        except InputError as error:
            self.refused = error
            raise

    def _taken(self, values: Any, column: str, table: TableFile, *, is_key: bool) -> Any:
        if is_key:
            return keys_of(values, column, table, self.missing)
        if column != self.score:
            return texts_of(values, column, table, self.missing)
        kind = {"halffloat": "float16", "float": "float32"}.get(str(values.type), "float64")
        if self.number not in ("", kind):
            raise InputError(
                f"the files keep {visible(column)!r} as {self.number} and as {kind} "
                f"({table.label}): write it alike in all"
            )
        self.number = kind
        return numbers_of(values, column, table, self.missing)
