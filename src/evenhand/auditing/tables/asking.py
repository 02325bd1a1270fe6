"""Queries to a database that ibis has connected to, in the database's own words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Any

from evenhand.auditing.tables.relation import TEXT, WHOLE

BATCH_ROWS = 100_000
"""Rows of an answer that are taken together where it is streamed."""
PLAIN = (str, int, float, bool, Decimal, date, time, bytes)
"""Values that Arrow keeps as they are; dates are with and without a time."""
POSTGRES = {
    **dict.fromkeys(("int2", "int4", "int8", "numeric"), WHOLE),
    **dict.fromkeys(("text", "varchar", "bpchar", "name"), TEXT),
    "float4": "float32",
    "float8": "float64",
}


@dataclass(eq=False)
class Asking:
    """Any database that ibis knows.

    Attributes:
        connection: of ibis.
        dialect: what sqlglot calls the language of its queries.
    """

    connection: Any
    dialect: str

    def answer(self, query: str) -> Any:
        """The answer, as an Arrow table."""
        return self.connection.sql(query, dialect=self.dialect).to_pyarrow()

    def stream(self, query: str) -> Iterator[Any]:
        """The answer, in Arrow batches."""
        asked = self.connection.sql(query, dialect=self.dialect)
        yield from asked.to_pyarrow_batches(chunk_size=BATCH_ROWS)

    def kinds(self, query: str) -> dict[str, str | None]:
        """Each column of the answer to what scores are kept as in it; None for nested values."""
        schema = self.connection.sql(query, dialect=self.dialect).schema()
        return {name: _of_ibis(kind) for name, kind in schema.items()}


class Postgres(Asking):
    """PostgreSQL, asked without the temporary view that ibis makes: reading is all one may need."""

    def __post_init__(self) -> None:
        self.connection.raw_sql("set default_transaction_read_only = on").close()

    def answer(self, query: str) -> Any:
        """The answer, as an Arrow table."""
        import pyarrow as arrow

        with self.connection.raw_sql(query) as cursor:
            names = [column.name for column in cursor.description]
            columns = _columns(cursor.fetchall(), len(names))
        return arrow.table(dict(zip(names, columns, strict=True)))

    def stream(self, query: str) -> Iterator[Any]:
        """The answer in Arrow batches, by a cursor of the server's."""
        import pyarrow as arrow

        kinds = list(self.kinds(query).values())
        held = self.connection.con
        with held.transaction(), held.cursor(name="evenhand") as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(BATCH_ROWS):
                columns = [
                    column.cast(arrow.float32()) if kind == "float32" else column
                    for column, kind in zip(_columns(rows, len(kinds)), kinds, strict=True)
                ]
                names = [str(at) for at in range(len(columns))]
                yield arrow.RecordBatch.from_arrays(columns, names)

    def kinds(self, query: str) -> dict[str, str | None]:
        """Each column of the answer to what scores are kept as in it; None for nested values."""
        with self.connection.raw_sql(f"{query} limit 0") as cursor:
            described = {column.name: column.type_code for column in cursor.description}
        types = self.connection.con.adapters.types
        return {name: _of_postgres(types.get(code), code) for name, code in described.items()}


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[Any]:
    """Rows as columns of Arrow."""
    import pyarrow as arrow

    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    return [arrow.array([_plain(value) for value in column]) for column in columns]


def _plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value)
    return value if value is None or isinstance(value, PLAIN) else str(value)


def _of_postgres(kind: Any, code: int) -> str | None:
    if kind is None:
        return "values of its own type"
    if code == kind.array_oid or kind.name in ("json", "jsonb"):
        return None
    return POSTGRES.get(kind.name, str(kind.name))


def _of_ibis(kind: Any) -> str | None:
    if kind.is_nested():
        return None
    if kind.is_integer() or kind.is_decimal():
        return WHOLE
    return TEXT if kind.is_string() else str(kind).removeprefix("!")
