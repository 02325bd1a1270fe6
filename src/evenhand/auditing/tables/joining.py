"""Several tables as one: which column stands in which, and what their keys must be like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand._base.text import listed, plural, visible
from evenhand.auditing.tables.relation import check_columns, quoted
from evenhand.errors import InputError

FOUND = "found"
"""With a table's number: 1 where it has a partner, else 0."""


def columns_by_table(
    tables: Sequence[tuple[str, Sequence[str]]], wanted: Sequence[str], on: Sequence[str]
) -> list[list[str]]:
    """Which of the columns that are counted stands in which table; a key in the first.

    Args:
        tables: label and columns of each; the first holds the decisions.
        wanted: all columns that are counted.
        on: the keys, which all tables hold.

    Raises:
        InputError: a key is not in all of them, a column is in none, or in several.
    """
    for label, columns in tables:
        check_columns(columns, on, label)
    every = [*tables[0][1], *(c for _, more in tables[1:] for c in more if c not in on)]
    chosen: list[list[str]] = [[] for _ in tables]
    for column in wanted:
        holders = [at for at, (_, columns) in enumerate(tables) if column in columns]
        if len(holders) > 1 and column not in on:
            raise InputError(
                f"{listed([tables[at][0] for at in holders])} all have a column "
                f"{visible(column)!r}: rename or drop all but one, so that it is clear which is "
                "meant"
            )
        if not holders:
            check_columns(every, [column], " and ".join(label for label, _ in tables))
        chosen[holders[0]].append(column)
    for (label, columns), own in zip(tables, chosen, strict=True):
        check_columns(columns, own, label)
    return chosen


@dataclass(frozen=True)
class Joined:
    """One of the tables, in the words of DuckDB's SQL.

    Attributes:
        origin: what it is called after FROM.
        keys: what it calls the keys.
        columns: what it calls a column that is counted, to what that is called in the whole.
    """

    origin: str
    keys: Sequence[str]
    columns: Mapping[str, str]


def whole(tables: Sequence[Joined]) -> str:
    """What stands after FROM: every row of the first table, with its partners' columns."""
    first, *others = tables
    taken = [f"t0.{quoted(own)} as {quoted(name)}" for own, name in first.columns.items()]
    joins = []
    for at, other in enumerate(others, 1):
        taken += [f"t{at}.{quoted(own)} as {quoted(name)}" for own, name in other.columns.items()]
        taken.append(
            f"case when t{at}.{quoted(other.keys[0])} is null then 0 else 1 end as {FOUND}{at}"
        )
        same = " and ".join(
            f"t0.{quoted(ours)} = t{at}.{quoted(theirs)}"
            for ours, theirs in zip(first.keys, other.keys, strict=True)
        )
        joins.append(f"left join {other.origin} as t{at} on {same}")
    return f"(select {', '.join(taken)} from {first.origin} as t0 {' '.join(joins)}) as joined"


def check_keys(run: Callable[[str], Any], tables: Mapping[str, Joined], on: Sequence[str]) -> None:
    """Refuse a table that holds a key twice: a decision would be counted twice.

    Args:
        run: a query in DuckDB's words to its answer.
        tables: what the decisions are joined with, by label.
        on: the keys, as the user calls them.

    Raises:
        InputError: one does; its first such key is named.
    """
    for label, table in tables.items():
        keys = ", ".join(map(quoted, table.keys))
        there = " and ".join(f"{quoted(key)} is not null" for key in table.keys)
        twice = run(
            f"select {keys} from {table.origin} as t where {there} group by {keys} "
            f"having count(*) > 1 order by {keys} limit 1"
        )
        if twice.num_rows:
            shown = listed([visible(column[0].as_py()) for column in twice.columns])
            raise InputError(
                f"{label} has several rows with {listed([visible(key) for key in on])} {shown}: "
                "give one row a key, so that no decision is counted twice"
            )


def partners(
    run: Callable[[str], Any], origin: str, weight: str, labels: Sequence[str], on: Sequence[str]
) -> list[str]:
    """A sentence for each joined table that knows nothing of some decisions.

    Args:
        run: a query in DuckDB's words to its answer.
        origin: the whole, after FROM.
        weight: how many rows a row of it stands for.
        labels: of the joined tables.
        on: the keys.

    Raises:
        InputError: a table knows none of them.
    """
    found = [f"sum({FOUND}{at} * {weight}) as n{at}" for at in range(1, len(labels) + 1)]
    answer = run(f"select sum({weight}) as n0, {', '.join(found)} from {origin}")
    rows, *matched = (int(column[0].as_py() or 0) for column in answer.columns)
    by, said = listed([visible(key) for key in on]), []
    for label, there in zip(labels, matched, strict=True):
        if rows and not there:
            raise InputError(
                f"no decision has a row in {label} with the same {by}: are the keys written alike?"
            )
        if there < rows:
            said.append(f"{plural(rows - there, 'row')} have no partner in {label} by {by}.")
    return said
