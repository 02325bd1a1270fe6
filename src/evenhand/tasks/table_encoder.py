"""A table's columns as numbers: fitted on the training rows, kept as data, applied to any rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.arrays import FloatArray
from evenhand._base.text import listed
from evenhand.errors import InputError
from evenhand.tasks.encoded_columns import Block, CategoryColumn, Column, column_from_dict

FORMAT = 1
"""Of the JSON of an encoder; raised when its meaning changes."""


@dataclass(frozen=True)
class Encoded:
    """Rows as numbers, and what was seen on the way.

    Attributes:
        inputs: (n, d) float32; zeros where a row is refused.
        refused: row to the reason: a value that its column cannot hold.
        missing: column to how many values were missing.
        unseen: column to how many values were not among those of the training rows.
        unusable: column to how many of the missing values are there, but infinite or no number.
    """

    inputs: FloatArray
    refused: dict[int, str]
    missing: dict[str, int]
    unseen: dict[str, int]
    unusable: dict[str, int]


@dataclass(frozen=True)
class TableEncoder:
    """The columns that a model reads, and how each becomes numbers.

    Attributes:
        columns: in the order of their numbers.
    """

    columns: tuple[Column, ...]
    kind: str = field(default="table", init=False)

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the columns that rows must have."""
        return tuple(column.name for column in self.columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the d numbers, in order."""
        return tuple(name for column in self.columns for name in column.feature_names)

    @property
    def width(self) -> int:
        """How many numbers a row becomes, d."""
        return sum(column.width for column in self.columns)

    def missing_columns(self, names: Iterable[Any]) -> list[str]:
        """The columns that are needed and not among ``names``."""
        there = {str(name) for name in names}
        return [name for name in self.needs if name not in there]

    def require(self, names: Sequence[Any], where: str = "the table") -> None:
        """Refuse a table without the columns that are needed.

        Raises:
            InputError: one is not there; the message says which, and what there is.
        """
        absent = self.missing_columns(names)
        if absent:
            raise InputError(
                f"{where} lacks {len(absent)} of the {len(self.columns)} columns that the model "
                f"reads: {listed(map(str, absent))}; its columns are "
                f"{listed(map(str, names))}"
            )

    def encode(self, frame: pd.DataFrame) -> Encoded:
        """Rows as numbers; columns may come in any order, and others beside them.

        Args:
            frame: n rows, each column texts or typed values.

        Raises:
            InputError: a column is not there.
        """  # noqa: DOC502
        self.require(list(frame.columns))
        inputs = np.zeros((len(frame), self.width), dtype=np.float32)
        refused: dict[int, list[str]] = {}
        missing, unseen, unusable, start = {}, {}, {}, 0
        for column in self.columns:
            block: Block = column.encode(
                frame[column.name], inputs[:, start : start + column.width]
            )
            start += column.width
            missing[column.name] = int(block.missing)
            if block.unusable:
                unusable[column.name] = int(block.unusable)
            if isinstance(column, CategoryColumn):
                unseen[column.name] = int(block.unseen)
            for row in np.flatnonzero(block.bad):
                value = str(frame[column.name].iloc[row])[:60]
                refused.setdefault(int(row), []).append(
                    f"{column.name}: {value!r} is no {column.holds}"
                )
        reasons = {row: "; ".join(found) for row, found in sorted(refused.items())}
        inputs[list(reasons)] = 0
        return Encoded(inputs, reasons, missing, unseen, unusable)

    def to_dict(self) -> dict[str, Any]:
        """The encoder as plain values, for JSON."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "columns": [column.to_dict() for column in self.columns],
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> TableEncoder:
        """What :meth:`to_dict` gave.

        Raises:
            InputError: another format, or not an encoder.
        """
        if document.get("format") != FORMAT:
            raise InputError(
                f"an encoder of format {document.get('format')} cannot be read, only of {FORMAT}: "
                "use the version of evenhand that wrote it"
            )
        try:
            return cls(tuple(column_from_dict(column) for column in document["columns"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not an encoder of a table: {error}") from error


def shares(encoder: TableEncoder) -> dict[str, float]:
    """The share of missing values of each column among the training rows."""
    return {column.name: column.missing_share for column in encoder.columns}
