"""Count the rows of a relation in one query: groups × label × decision, and scores in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.text import visible
from evenhand.auditing.request import AuditRequest
from evenhand.auditing.row_weights import weight_of
from evenhand.auditing.tables.answers import encoded, floats
from evenhand.auditing.tables.batch_values import not_a_number
from evenhand.auditing.tables.relation import FLOATS, TEXT, Relation
from evenhand.errors import InputError
from evenhand.tasks.missing import Missing

MOST_VALUES = 2000
"""More values than this in a column are no groups or classes but numbers or identifiers."""


MOST_ENTRIES = 3_000_000
"""Combinations of values that are taken from an engine."""


MOST_SCORES = 1_000_000
"""Combinations of a cell and a score that are kept apart; beyond, scores are rounded."""


MISSING = -1


Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
MADE = "decided"
"""What the decision that a score makes is called where a column would be."""


@dataclass(frozen=True, eq=False)
class Cells:
    """How many rows there are of each combination of values.

    Attributes:
        names: column to the names of its values, by code.
        codes: column to (n,) codes, -1 where the value is missing; ``MADE`` is the decision where
            it is made from the score.
        rows: (n,) how many.
        unscored: (n,) True where there is no score.
        sums: (n,) of the scores, times the rows' weights.
        outside: (n,) rows with a score below 0 or above 1.
        weights: (n,) sums of the rows' weights; None where they have none.
        squares: (n,) sums of what a weight adds to the effective rows' denominator.
    """

    names: dict[str, list[str]]
    codes: dict[str, Ints]
    rows: Ints
    unscored: npt.NDArray[np.bool_]
    sums: Floats
    outside: Ints
    weights: Floats | None = None
    squares: Floats | None = None


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores in ascending order, with how many rows have them.

    Attributes:
        codes: column to (n,) codes, as of the cells.
        key: (n,) the scores, or numbers in the same order.
        rows: (n,) how many, or the sum of their weights.
        exact: no score was rounded.
    """

    codes: dict[str, Ints]
    key: Floats
    rows: Ints | Floats
    exact: bool


def count(table: Relation, asked: AuditRequest) -> Cells:
    """The cells of a relation, in one query.

    Raises:
        InputError: no rows, a score that is no number, a column of too many values.
    """
    missing = Missing(asked.missing)
    keys = _keys(asked)
    selected = [f"{table.places[column]} as k{at}" for at, column in enumerate(keys)]
    score, weight = _score(table, asked, missing), weight_of(table, asked)
    times = table.weight if weight is None else f"{weight.value} * {table.weight}"
    if score is not None:
        selected += [f"{score.absent} as absent", f"{score.stray} as stray"]
        if asked.prediction is None:
            selected.append(f"{score.decided} as decided")
        outside = f"case when {score.value} < 0 or {score.value} > 1 then {table.weight} else 0 end"
        sums = [
            f"cast(sum({score.value} * {times}) as double) as total",
            f"cast(sum({outside}) as bigint) as beyond",
        ]
    grouped = ", ".join(str(at + 1) for at in range(len(selected)))
    summed = [f"cast(sum({table.weight}) as bigint) as n", *(sums if score is not None else ())]
    summed += [] if weight is None else weight.sums(table.weight, asked.weight_kind)
    answer = table.run(
        f"select {', '.join([*selected, *summed])} from {table.origin} group by {grouped} "
        f"limit {MOST_ENTRIES + 1}"
    )
    if not answer.num_rows:
        raise InputError(f"{table.label} has a header and no rows")
    codes, names = {}, {}
    for at, column in enumerate(keys):
        found, values = encoded(answer.column(f"k{at}"), MISSING)
        _check_values(len(values), 10 * MOST_VALUES, column, asked)
        codes[column], names[column] = _coded(found, values, missing)
        _check_values(len(names[column]), MOST_VALUES, column, asked)
    if answer.num_rows > MOST_ENTRIES:
        raise InputError(
            f"{table.label} holds more than {MOST_ENTRIES:,} combinations of groups, labels and "
            "decisions: join groups or classes first"
        )
    rows = floats(answer.column("n")).astype(np.int64)
    nothing = np.zeros(len(rows))
    weights = (None, None) if weight is None else weight.checked(answer, table.label)
    if score is None:
        none = nothing.astype(np.int64)
        return Cells(names, codes, rows, nothing.astype(bool), nothing, none, *weights)
    _check_numbers(answer, missing, asked, table)
    if asked.prediction is None:
        codes[MADE] = floats(answer.column("decided")).astype(np.int64)
    return Cells(
        names,
        codes,
        rows,
        floats(answer.column("absent")).astype(bool),
        np.nan_to_num(floats(answer.column("total"))),
        floats(answer.column("beyond")).astype(np.int64),
        *weights,
    )


def count_scores(table: Relation, asked: AuditRequest, cells: Cells) -> Scores:
    """How many rows have each score, in each cell.

    Beyond ``MOST_SCORES`` combinations every score is rounded by the same relative step, so that
    what an engine sends stays small whatever the number of rows.

    Raises:
        InputError: too many groups and labels for scores in each.
    """
    missing = Missing(asked.missing)
    keys, score, weight = _keys(asked), _score(table, asked, missing), weight_of(table, asked)
    n = f"cast(sum({table.weight}) as bigint)"
    if weight is not None:
        n = f"cast(sum({weight.value} * {table.weight}) as double)"
    if score is None:
        raise InputError("there is no score column")
    selected = [f"{table.places[column]} as k{at}" for at, column in enumerate(keys)]
    step = f"(floor(ln(abs({score.value})) * {STEPS}) + {2000 * STEPS})"  # ln(1e-308) is -709
    rounded = f"case when {score.value} = 0 then 0 else sign({score.value}) * {step} end"
    for key, most in ((score.value, MOST_SCORES), (rounded, MOST_ENTRIES)):
        grouped = ", ".join(str(at + 1) for at in range(len(keys) + 1))
        answer = table.run(
            f"select {', '.join([*selected, f'cast({key} as double) as s'])}, "
            f"{n} as n from {table.origin} "
            f"where not ({score.absent}) group by {grouped} limit {most + 1}"
        )
        if answer.num_rows <= most:
            break
    else:
        raise InputError(f"{table.label} has too many groups and labels to rank scores in each")
    codes = {}
    for at, column in enumerate(keys):
        found, words = _coded(*encoded(answer.column(f"k{at}"), MISSING), missing)
        place = {word: code for code, word in enumerate(cells.names[column])}
        codes[column] = np.array([*(place[word] for word in words), MISSING])[found]
    values, rows = floats(answer.column("s")), floats(answer.column("n"))
    order = np.argsort(values, kind="stable")
    return Scores(
        {column: found[order] for column, found in codes.items()},
        values[order],
        (rows if weight is not None else rows.astype(np.int64))[order],
        exact=key is score.value,
    )


STEPS = 4096
"""Rounded scores of one sign that differ by one part in so many stay apart."""


@dataclass(frozen=True)
class _Score:
    """The score in SQL: its value as a double, whether it is absent, text that is no number."""

    value: str
    absent: str
    stray: str
    decided: str


def _score(table: Relation, asked: AuditRequest, missing: Missing) -> _Score | None:
    if asked.score is None:
        return None
    column = table.places[asked.score]
    stray = "cast(null as varchar)"
    own = column
    if table.number == TEXT:
        plain = f"case when position('_' in {column}) > 0 then null else {column} end"
        own = f"try_cast({plain} as double)"
        stray = f"case when {own} is null then {column} end"
    value = own if own != column else f"cast({column} as double)"
    absent = f"({own} is null or {table.is_nan.format(value)})"
    words = [number for word in missing.more if (number := _as_number(word)) is not None]
    if words:
        absent = f"({absent} or {value} in ({', '.join(words)}))"
    limit = f"cast({asked.threshold!r} as double)"
    if table.number in FLOATS[:2]:
        kept = np.float16 if table.number == "float16" else np.float32
        with np.errstate(over="ignore"):
            limit = f"cast('{float(kept(asked.threshold))!r}' as double)"
    present = f"case when {absent} then null else {value} end"
    decided = f"case when {absent} then -1 when {value} >= {limit} then 1 else 0 end"
    return _Score(f"({present})", absent, stray, decided)


def _as_number(word: str) -> str | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return f"cast('{number!r}' as double)" if np.isfinite(number) else None


def _keys(asked: AuditRequest) -> list[str]:
    every = (*asked.groups, asked.label, asked.prediction)
    return list(dict.fromkeys(column for column in every if column is not None))


def _coded(codes: Ints, values: Any, missing: Missing) -> tuple[Ints, list[str]]:
    """(n,) codes and the names of the values they stand for; -1 where there is none."""
    named = [missing.name(value) for value in values.to_pylist()]
    words = list(dict.fromkeys(one for one in named if one is not None))
    place = {one: at for at, one in enumerate(words)}
    known = np.array([*(MISSING if one is None else place[one] for one in named), MISSING])
    return known[codes], words


def _check_values(found: int, most: int, column: str, asked: AuditRequest) -> None:
    if found <= most:
        return
    role = "label" if column == asked.label else "group"
    role = "prediction" if column == asked.prediction else role
    advice = "give it as the score" if role == "prediction" else "bin it or choose another"
    raise InputError(
        f"{role} column {visible(column)!r} holds more than {MOST_VALUES:,} different values: "
        f"{advice}"
    )


def _check_numbers(answer: Any, missing: Missing, asked: AuditRequest, table: Relation) -> None:
    """Refuse texts of the score column that are neither numbers nor missing."""
    for text in answer.column("stray").unique().to_pylist():
        if missing.name(text) is not None:
            raise not_a_number(text, asked.score or "", table.label)
