"""Tables of a database: by ibis where it is at a URL, by the embedded engine where it is a file.

One query is pushed to the engine, so that nothing but counts comes back; it is only ever asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from evenhand._base.text import visible
from evenhand.auditing.request import AuditRequest, without_password
from evenhand.auditing.tables.asking import Asking, Postgres
from evenhand.auditing.tables.embedded import Embedded
from evenhand.auditing.tables.joining import (
    Joined,
    check_keys,
    columns_by_table,
    partners,
    whole,
)
from evenhand.auditing.tables.relation import (
    TEXT,
    WHOLE,
    Relation,
    check_columns,
    quoted,
)
from evenhand.errors import InputError, MissingExtraError

SOURCE = "evenhand_source"
"""Stands in a query for what the user names, which is written in the engine's own words."""
MAGIC, MAGIC_AT = b"DUCK", 8


def is_url(source: Any) -> bool:
    """Whether ``source`` names a database elsewhere."""
    return isinstance(source, str) and "://" in source


def is_database(source: Any) -> bool:
    """Whether ``source`` is a file of DuckDB."""
    try:
        if not isinstance(source, str | Path) or not Path(source).is_file():
            return False
        with Path(source).open("rb") as file:
            return file.read(MAGIC_AT + len(MAGIC))[MAGIC_AT:] == MAGIC
    except (OSError, ValueError):
        return False


def database_file(source: str | Path, asked: AuditRequest) -> Relation:
    """A table of, or a query to, a file of DuckDB.

    Raises:
        InputError: it cannot be opened, there is no such table, the query is wrong, or a column is
            missing or unfit.
    """  # noqa: DOC502
    return _asked_of(asked, opened_file(source))


def database(url: str, asked: AuditRequest) -> Relation:
    """A table of, or a query to, a database that ibis reaches.

    Raises:
        InputError: it cannot be reached, there is no such table, the query is no single SELECT, or
            a column is missing or unfit.
        MissingExtraError: ibis, or its part for this database, is not installed.
    """  # noqa: DOC502
    relation = _asked_of(asked, opened_url(url, asked.query))
    relation.is_nan = "({0} = cast('NaN' as double) or {0} <> {0})"
    return relation


def _asked_of(asked: AuditRequest, opened: Opened) -> Relation:
    try:
        relation = _relation(asked, opened)
    except InputError:
        opened.close()
        raise
    except opened.error as error:
        opened.close()
        raise InputError(f"{opened.label}: {first_line(error)}") from error
    relation.error, relation.close = opened.error, opened.close
    return relation


def opened_file(source: str | Path) -> Opened:
    """A file of DuckDB.

    Raises:
        InputError: it cannot be opened.
    """
    import duckdb

    label = visible(Path(source).name)
    try:
        engine = Embedded(str(source))
    except duckdb.Error as error:
        raise InputError(f"{label} cannot be opened: {first_line(error)}") from error

    def kinds_of(query: str) -> dict[str, str | None]:
        described = engine(f"describe {query}")
        names, types = (described.column(f"column_{what}").to_pylist() for what in ("name", "type"))
        return {name: _of_duckdb(kind) for name, kind in zip(names, types, strict=True)}

    tables = _tables(engine)
    return Opened(
        label,
        *(engine, engine.stream, kinds_of, tables, engine.asks_only),
        error=engine.Error,
        close=engine.close,
    )


def opened_url(url: str, query: str | None) -> Opened:
    """A database that ibis reaches; ``query`` is what the user asks of it.

    Raises:
        InputError: it cannot be reached.
        MissingExtraError: ibis, or its part for this database, is not installed.
    """
    scheme = urlsplit(url).scheme
    try:
        import ibis
        import sqlglot
    except ImportError as error:
        raise MissingExtraError("ibis-framework", "postgres", f"auditing {scheme}") from error
    label = visible(without_password(url))
    try:
        connection: Any = ibis.connect(url)
    except ImportError as error:
        raise MissingExtraError(str(error.name), "postgres", f"auditing {scheme}") from error
    except Exception as error:  # every backend has errors of its own
        raise InputError(f"{label} cannot be reached: {first_line(error)}") from error
    dialect = str(connection.dialect.__name__).lower()

    engine: Asking = (Postgres if dialect == "postgres" else Asking)(connection, dialect)

    def written(ours: str) -> str:
        own = sqlglot.transpile(ours, read="duckdb", write=dialect)[0]
        return own.replace(SOURCE, f"({(query or '').strip().rstrip(';')})")

    def asks_only(theirs: str) -> bool:
        try:
            statements = sqlglot.parse(theirs, read=dialect)
        except sqlglot.errors.SqlglotError as error:
            raise InputError(f"--query is no query of {dialect}: {first_line(error)}") from error
        return len(statements) == 1 and isinstance(statements[0], sqlglot.exp.Query)

    return Opened(
        label,
        lambda ours: engine.answer(written(ours)),
        lambda ours: engine.stream(written(ours)),
        lambda ours: engine.kinds(written(ours)),
        connection.list_tables,
        asks_only,
        SOURCE,
        close=connection.disconnect,
    )


@dataclass(frozen=True)
class Opened:
    """A database that answers, asked in the words of DuckDB's SQL.

    Attributes:
        label: what errors call it.
        run: a query to its answer.
        stream: a query to its answer a batch at a time.
        kinds: a query to its columns, and what scores are kept as in each; None for nested values.
        tables: the names of all tables.
        asks_only: whether what the user wrote is one SELECT.
        source: what stands for the user's query; None: it is written as it is.
        error: what it raises where it cannot answer.
        close: lets go of it.
    """

    label: str
    run: Callable[[str], Any]
    stream: Callable[[str], Iterator[Any]]
    kinds: Callable[[str], Mapping[str, str | None]]
    tables: Callable[[], Sequence[str]]
    asks_only: Callable[[str], bool]
    source: str | None = None
    error: type[Exception] = Exception
    close: Callable[[], None] = lambda: None


def _relation(asked: AuditRequest, opened: Opened) -> Relation:
    label, origins = opened.label, [origin_of(asked, opened), *map(named_table, asked.join)]
    every = [opened.kinds(f"select * from {origin} as t") for origin in origins]
    labels = [asked.table or "the query", *map(visible, asked.join)]
    if asked.on:
        held = [(name, list(kinds)) for name, kinds in zip(labels, every, strict=True)]
        own = columns_by_table(held, asked.columns, asked.on)
    else:
        check_columns(list(every[0]), asked.columns, label)
        own = [list(asked.columns)]
    kinds = {c: every[at][c] for at, columns in enumerate(own) for c in columns}
    for column in asked.columns:
        if kinds[column] is None:
            raise InputError(
                f"column {visible(column)!r} of {label} holds nested values: take one value a row"
            )
    number = WHOLE if asked.score is None else kinds[asked.score] or TEXT
    if asked.score is not None and number not in (WHOLE, "float32", "float64"):
        raise InputError(
            f"score column {visible(asked.score)!r} of {label} holds {number}, not numbers: cast "
            "it in a query (--query)"
        )
    what: dict[str, Any] = {"table": asked.table} if asked.table else {"query": asked.query}
    places, origin, notes = {c: c for c in asked.columns}, f"{origins[0]} as asked", []
    if asked.on:
        what |= {"join": list(asked.join), "on": list(asked.on)}
        places = {column: f"c{at}" for at, column in enumerate(asked.columns)}
        joined = [
            Joined(origin, asked.on, {c: places[c] for c in columns})
            for origin, columns in zip(origins, own, strict=True)
        ]
        check_keys(opened.run, dict(zip(labels[1:], joined[1:], strict=True)), asked.on)
        origin = whole(joined)
        notes = partners(opened.run, origin, "1", labels[1:], asked.on)
    return Relation(
        label,
        {column: quoted(place) for column, place in places.items()},
        origin,
        opened.run,
        number,
        notes=notes,
        made_from=lambda: {"database": label, **what},
    )


def origin_of(asked: AuditRequest, opened: Opened) -> str:
    """What the user names, as it stands after FROM."""
    if asked.query is not None:
        if not opened.asks_only(asked.query):
            raise InputError("--query must be one SELECT, and nothing that changes the database")
        return opened.source or f"({asked.query.strip().rstrip(';')})"
    if asked.table is None:
        shown = ", ".join(sorted(opened.tables())[:20])
        raise InputError(
            f"{opened.label} is a database: name a table (--table) or give a query (--query); "
            f"its tables are {shown or 'none'}"
        )
    return named_table(asked.table)


def named_table(table: str) -> str:
    """A table, or SCHEMA.TABLE, as SQL writes it."""
    return ".".join(quoted(part) for part in table.split("."))


def _tables(engine: Embedded) -> Callable[[], list[str]]:
    query = "select table_name from information_schema.tables"
    return lambda: engine(query).column(0).to_pylist()


def _of_duckdb(kind: str) -> str | None:
    """What scores of a type are kept as; None for nested values, else the type's own name."""
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return None
    if "INT" in kind or kind.startswith("DECIMAL"):
        return WHOLE
    return {"FLOAT": "float32", "DOUBLE": "float64"}.get(kind, kind)


def first_line(error: Exception) -> str:
    """What a library says is wrong, in a line."""
    return visible((str(error) or type(error).__name__).strip().splitlines()[0][:200])
