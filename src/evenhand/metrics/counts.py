"""One count tensor, group × label × prediction: every metric is a function of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import IntArray, integers_below
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.metrics.effective import effective_tables
from evenhand.weights import Weights, sums_by


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each prediction was made for each label in each group.

    Attributes:
        table: (G, K, K) integers, [group, label, prediction].
        unknown: (K, K) the same for rows whose group is not known; they enter the error, no gap.
        group_names: the G group names.
        class_names: the K class names; for two classes the second is the positive one.
        attribute: what the groups are groups of.
        labelled: False where no label is known: all rows then stand at label 0, and only how often
            each decision was made can be asked.
        squares: (G + 1, K) of weighted rows, whose sums of weights the tables hold, the sums of the
            squared weights of each group (the last one unknown) and label; None of plain rows.

    Example:
        >>> sexes = eh.Groups.from_values(["F", "F", "M", "M"], "sex")
        >>> counts = eh.Counts.of([0, 1, 0, 1], [0, 0, 0, 1], sexes, ("no", "yes"))
        >>> counts.table[0]  # the one "yes" among F was missed
        array([[1, 0],
               [1, 0]])
        >>> float(eh.metrics.gap(counts.table, "demographic_parity"))
        0.5
    """

    table: npt.NDArray[Any]
    unknown: npt.NDArray[Any]
    group_names: tuple[str, ...]
    class_names: tuple[str, ...]
    attribute: str = "group"
    labelled: bool = True
    squares: npt.NDArray[Any] | None = None

    def __post_init__(self) -> None:
        g, k = len(self.group_names), len(self.class_names)
        found = np.shape(self.table), np.shape(self.unknown)
        if found != ((g, k, k), (k, k)):
            raise InputError(
                f"counts of {g} groups and {k} classes have shapes {(g, k, k)} and {(k, k)}, "
                f"found {found[0]} and {found[1]}"
            )

    @classmethod
    def of(
        cls,
        labels: npt.ArrayLike,
        predictions: npt.ArrayLike,
        groups: Groups,
        class_names: tuple[str, ...],
        weights: Weights | None = None,
    ) -> Counts:
        """Count integer ``labels`` and ``predictions``, both (N,) in [0, K).

        Args:
            labels, predictions: of the rows.
            groups: of the rows.
            class_names: the K class names.
            weights: what each row counts; 1 by default.

        Raises:
            InputError: lengths differ, or a value lies outside [0, K).
        """
        k = len(class_names)
        y = integers_below(labels, k, "labels")
        p = integers_below(predictions, k, "predictions")
        if not len(y) == len(p) == len(groups):
            raise InputError(
                "labels, predictions and groups differ in length: "
                f"{len(y)}, {len(p)} and {len(groups)}"
            )
        g = groups.number
        codes = np.where(groups.known, groups.codes, g)
        given = None if weights is None else weights.values
        flat = np.bincount((codes * k + y) * k + p, given, minlength=(g + 1) * k * k)
        table = flat.reshape(g + 1, k, k).astype(np.int64 if weights is None else np.float64)
        squares = None
        if weights is not None:
            squares = sums_by(codes * k + y, (g + 1) * k, weights)[1].reshape(g + 1, k)
        return cls(
            table[:g],
            table[g],
            groups.names,
            tuple(class_names),
            groups.attribute,
            squares=squares,
        )

    def __add__(self, other: Counts) -> Counts:
        """The counts of both sets of rows together.

        Raises:
            InputError: their groups or classes differ.
        """
        if (self.group_names, self.class_names) != (other.group_names, other.class_names):
            raise InputError("counts over different groups or classes cannot be added")
        return Counts(
            self.table + other.table,
            self.unknown + other.unknown,
            self.group_names,
            self.class_names,
            self.attribute,
            squares=self._squares_with(other),
        )

    def _squares_with(self, other: Counts) -> npt.NDArray[Any] | None:
        if self.squares is None and other.squares is None:
            return None
        mine, theirs = (
            np.concatenate([one.cells, one.unknown.sum(axis=-1)[None]])
            if one.squares is None
            else one.squares
            for one in (self, other)
        )
        return np.asarray(mine + theirs, dtype=np.float64)

    def effective(self, criterion: str | Criterion) -> npt.NDArray[Any]:
        """(G, K, K) the counts as rows that are as sure: the table itself of plain rows.

        What ``criterion`` compares has the same value on it, and its intervals and bounds follow as
        those of counted rows do (:mod:`evenhand.metrics.effective`).

        Args:
            criterion: what is to be compared.
        """
        squares = None if self.squares is None else self.squares[:-1]
        return effective_tables(self.table, criterion, squares)

    def effective_cells(self, criterion: str | Criterion) -> npt.NDArray[Any]:
        """(G, K) the rows of each group with each label, as rows that are as sure."""
        cells: npt.NDArray[Any] = self.effective(criterion).sum(axis=2)
        return cells

    @property
    def effective_total(self) -> npt.NDArray[Any]:
        """(K, K) the confusion matrix over all rows, as rows that are as sure."""
        if self.squares is None or not self.squares.any():
            return self.total
        return np.asarray(self.total * (self.total.sum() / self.squares.sum()))

    @property
    def total(self) -> npt.NDArray[Any]:
        """(K, K) the confusion matrix over all rows, unknown groups included."""
        total: npt.NDArray[Any] = self.table.sum(axis=0) + self.unknown
        return total

    @property
    def sizes(self) -> IntArray:
        """(G,) rows of each group."""
        sizes: IntArray = self.table.sum(axis=(1, 2))
        return sizes

    @property
    def cells(self) -> IntArray:
        """(G, K) rows of each group with each label."""
        cells: IntArray = self.table.sum(axis=2)
        return cells

    def __len__(self) -> int:
        return int(self.total.sum())
