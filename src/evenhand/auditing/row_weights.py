"""The weights of an audited table's rows, in SQL: summed by what they are grouped by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand._base.arrays import Float64
from evenhand._base.text import visible
from evenhand.auditing.request import AuditRequest
from evenhand.auditing.tables.answers import floats
from evenhand.auditing.tables.relation import Relation
from evenhand.errors import InputError

LARGEST = "1e150"
"""Of a weight, whose square is summed: beyond, it counts as infinite."""


@dataclass(frozen=True)
class RowWeight:
    """A column of weights.

    Attributes:
        column: its name, for errors.
        value: the weight as a double, 0 where it is none; those are counted, and refused.
        wrong: what may be wrong with a weight, to the condition that it is.
    """

    column: str
    value: str
    wrong: dict[str, str]

    def sums(self, rows: str, kind: str) -> list[str]:
        """What is selected of a group of rows: sums of weights and squares, counts of wrong ones.

        Args:
            rows: how many rows a row stands for.
            kind: of the weights.
        """
        square = self.value if kind == "frequency" else f"{self.value} * {self.value}"
        return [
            f"cast(sum({self.value} * {rows}) as double) as weights",
            f"cast(sum({square} * {rows}) as double) as squares",
            *(
                f"cast(sum(case when {condition} then {rows} else 0 end) as bigint) as {word}"
                for word, condition in self.wrong.items()
            ),
        ]

    def checked(self, answer: Any, label: str) -> tuple[Float64, Float64]:
        """(n,) the sums of the weights and of their squares, from what :meth:`sums` asked for.

        Raises:
            InputError: a weight is missing, negative or infinite, or all are 0.
        """

        def of(name: str) -> Float64:
            return np.nan_to_num(floats(answer.column(name)))

        rows = int(of("n").sum())
        for word in self.wrong:
            bad = int(of(word).sum())
            if bad:
                what = "missing or no number" if word == "missing" else word
                raise InputError(
                    f"weight column {visible(self.column)!r} of {label} is {what} in {bad:,} of "
                    f"{rows:,} rows; a weight is finite and at least 0"
                )
        weights = of("weights")
        if not weights.any():
            raise InputError(
                f"weight column {visible(self.column)!r} of {label} is zero in all {rows:,} rows: "
                "nothing is left to count"
            )
        return weights, of("squares")


def weight_of(table: Relation, asked: AuditRequest) -> RowWeight | None:
    """The column of weights that is asked for, as the engine of a table reads it."""
    if asked.weight is None:
        return None
    number = f"try_cast({table.places[asked.weight]} as double)"
    missing = f"({number} is null or {table.is_nan.format(number)})"
    conditions = {
        "missing": missing,
        "infinite": f"(not {missing} and abs({number}) > {LARGEST})",
        "negative": f"(not {missing} and {number} < 0)",
    }
    bad = f"({missing} or abs({number}) > {LARGEST} or {number} < 0)"
    return RowWeight(asked.weight, f"(case when {bad} then 0 else {number} end)", conditions)
