"""Tables that everybody reads a batch at a time, handed to the embedded engine by their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand._base.text import visible
from evenhand.auditing.tables.embedded import Embedded
from evenhand.auditing.tables.parts import Part, described
from evenhand.auditing.tables.relation import Relation, quoted
from evenhand.errors import InputError
from evenhand.tasks.missing import Missing
from evenhand.tasks.read_table import plain_values
from evenhand.tasks.table_file import TableFile


def in_batches(
    parts: Sequence[Part], wanted: Sequence[str], score: str | None, missing: Missing
) -> Relation:
    """The tables as one relation of names and scores, counted once by all its columns.

    Raises:
        InputError: a score that is no number, columns of nested values, no rows.
    """
    import pyarrow as arrow

    label = parts[0].table.label
    reading = _Reading(parts, wanted, score, missing)
    batches = reading.batches()
    first = next(batches, None)
    if first is None:
        raise InputError(f"{label} has a header and no rows")

    def every() -> Iterator[Any]:
        yield first
        yield from batches

    names = ", ".join(quoted(str(at)) for at in range(len(wanted)))
    engine = Embedded()
    try:
        reader = arrow.RecordBatchReader.from_batches(first.schema, every())
        engine.connection.register("batches", reader)
        engine.connection.execute(
            f"create temp table counted as select {names}, count(*) as n from batches group by all"
        )
    except (engine.Error, arrow.ArrowException, OSError) as error:
        engine.close()
        if reading.refused is not None:  # the engine tells it as an error of its own
            raise reading.refused from None
        raise InputError(f"{label} cannot be counted: {str(error).splitlines()[0]}") from error
    return Relation(
        label,
        {column: quoted(str(at)) for at, column in enumerate(wanted)},
        "counted",
        engine,
        reading.number,
        weight="n",
        notes=[note for part in parts for note in part.table.notes],
        made_from=lambda: described(parts),
        close=engine.close,
    )


@dataclass(eq=False)
class _Reading:
    """One pass over the files.

    Attributes:
        number: what the scores are kept as.
        refused: what was wrong with a batch.
    """

    parts: Sequence[Part]
    wanted: Sequence[str]
    score: str | None
    missing: Missing
    number: str = ""
    refused: InputError | None = None

    def batches(self) -> Iterator[Any]:
        """Batches of names and scores, called by the numbers of their columns."""
        import pyarrow as arrow

        try:
            for part in self.parts:
                read = [column for column in self.wanted if column not in part.constants]
                for batch in part.table.read([part.table.place(column) for column in read]):
                    columns = []
                    for column in self.wanted:
                        if column in part.constants:
                            words = arrow.repeat(
                                arrow.scalar(part.constants[column], arrow.string()), len(batch)
                            )
                        else:
                            words = batch.column(read.index(column))
                        columns.append(self._taken(words, column, part.table))
                    names = [str(at) for at in range(len(columns))]
                    yield arrow.RecordBatch.from_arrays(columns, names)
        except InputError as error:
            self.refused = error
            raise

    def _taken(self, values: Any, column: str, table: TableFile) -> Any:
        if column != self.score:
            return _names(values, column, table, self.missing)
        kind = {"halffloat": "float16", "float": "float32"}.get(str(values.type), "float64")
        if self.number not in ("", kind):
            raise InputError(
                f"the files keep {visible(column)!r} as {self.number} and as {kind} "
                f"({table.label}): write it alike in all"
            )
        self.number = kind
        return _numbers(values, column, table, self.missing)


def _plain(column: Any, name: str, table: TableFile) -> Any:
    import pyarrow as arrow

    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    values = plain_values(column)
    if values is None:
        raise InputError(
            f"column {visible(name)!r} of {table.label} holds {column.type}, not plain values: "
            "take one value a row"
        )
    return values


def _names(column: Any, name: str, table: TableFile, missing: Missing) -> Any:
    """The names of the values, null where they are missing."""
    import pyarrow as arrow

    coded = _plain(column, name, table).dictionary_encode()
    named = [missing.name(value) for value in coded.dictionary.to_pylist()]
    words = list(dict.fromkeys(one for one in named if one is not None))
    place = {one: at for at, one in enumerate(words)}
    known = arrow.array([None if one is None else place[one] for one in named], arrow.int32())
    codes = known.take(coded.indices)
    return arrow.DictionaryArray.from_arrays(codes, arrow.array(words, arrow.string()))


def _numbers(column: Any, name: str, table: TableFile, missing: Missing) -> Any:
    """Scores in the column's own precision, so that they are compared as they are kept."""
    import pandas as pd
    import pyarrow as arrow

    values = _plain(column, name, table)
    if arrow.types.is_floating(values.type):
        return values
    held = values.to_pandas()
    numbers = pd.to_numeric(held, errors="coerce")
    wrong = numbers.isna() & held.map(lambda value: missing.name(value) is not None)
    if wrong.any():
        raise not_a_number(held[wrong].iloc[0], name, table.label)
    return arrow.array(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def not_a_number(value: Any, name: str, label: str) -> InputError:
    """The refusal of a score that is none."""
    return InputError(
        f"score column {visible(name)!r} of {label} holds {visible(value)!r}, "
        "which is not a number (write decimals with a point)"
    )
