"""One way of grouping the rows of an audit, and what is kept back of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.auditing.classes import Classes
from evenhand.auditing.counting import MADE, MISSING, Cells, Ints, Scores
from evenhand.auditing.request import AuditRequest
from evenhand.auditing.scores import above_median, auc_of
from evenhand.errors import InputError
from evenhand.metrics.counts import Counts

MOST_NUMBERS = 20_000_000
"""Counts that a grouping may need."""


@dataclass(frozen=True, eq=False)
class Grouping:
    """One group column, or one crossing of several.

    Attributes:
        counts: group × label × prediction.
        values: further columns of the group table, (G,) each: ``auc`` and ``calibration``.
        above: (G,) rows with a score above the median of all rows; None without scores.
        rows: (G + 1, K) how many rows there are of each group, the unknown last, and label, where
            the counts are of weights; what few people say must not be shown, whatever they weigh.
    """

    counts: Counts
    values: dict[str, npt.NDArray[np.float64]]
    above: npt.NDArray[Any] | None
    rows: npt.NDArray[np.int64] | None = None

    def without_small(self, below: int) -> tuple[Grouping, int]:
        """The part without groups too small to show, and how many were left out.

        A group is left out if it, or one of its label cells that is not empty, holds fewer than
        ``below`` rows; and the next smallest until the rows left out, with those of unknown
        group, are at least ``below`` together, so that they cannot be had by subtraction.
        """
        counts = self.counts
        cells = counts.cells if self.rows is None else self.rows[:-1]
        sizes = cells.sum(axis=1)
        small = (sizes < below) | ((cells > 0) & (cells < below)).any(axis=1)
        unknown = int((counts.unknown if self.rows is None else self.rows[-1]).sum())
        for g in np.argsort(sizes, kind="stable"):
            if not small.any() or sizes[small].sum() + unknown >= below:
                break
            small[g] = True
        kept = ~small
        names = tuple(n for n, keep in zip(counts.group_names, kept, strict=True) if keep)
        hidden = counts.unknown + counts.table[small].sum(axis=0)
        squares = counts.squares
        if squares is not None:
            rest = squares[-1] + squares[:-1][small].sum(axis=0)
            squares = np.concatenate([squares[:-1][kept], rest[None]])
        shown = replace(
            counts, table=counts.table[kept], unknown=hidden, group_names=names, squares=squares
        )
        values = {name: column[kept] for name, column in self.values.items()}
        above = None if self.above is None else self.above[kept]
        rows = self.rows
        if rows is not None:
            others = rows[-1] + rows[:-1][small].sum(axis=0)
            rows = np.concatenate([rows[:-1][kept], others[None]])
        return Grouping(shown, values, above, rows), int(small.sum())


@dataclass(frozen=True, eq=False)
class Groupings:
    """The cells of an audit, to be grouped by one column after the other.

    Attributes:
        asked: the request.
        cells: all combinations of values.
        usable: (n,) True where a cell has all that is counted.
        classes: of the label and of the decision.
    """

    asked: AuditRequest
    cells: Cells
    usable: npt.NDArray[np.bool_]
    classes: Classes

    def by(self, span: tuple[str, ...], scores: Scores | None, *, calibrated: bool) -> Grouping:
        """The counts of one group column, or of a crossing.

        Args:
            span: the columns.
            scores: of all rows that have one.
            calibrated: the scores are probabilities.

        Raises:
            InputError: more groups and classes than can be judged.
        """
        cells, usable, k = self.cells, self.usable, len(self.classes.names)
        keys = np.stack([cells.codes[column][usable] for column in span], axis=1)
        known = (keys != MISSING).all(axis=1)
        present, codes = np.unique(keys[known], axis=0, return_inverse=True)
        texts = [
            " × ".join(cells.names[c][k] for c, k in zip(span, row, strict=True)) for row in present
        ]
        if (len(texts) + 1) * k * k > MOST_NUMBERS:
            raise InputError(
                f"{len(texts):,} groups of {' × '.join(span)} and {k:,} classes are "
                f"{len(texts) * k * k:,} counts: too many to judge; join groups or classes first"
            )
        order = sorted(range(len(texts)), key=lambda at: texts[at])
        rank = np.empty(len(texts), dtype=np.int64)
        rank[order] = np.arange(len(texts))
        group = np.full(len(keys), len(texts), dtype=np.int64)
        group[known] = rank[codes.reshape(-1)]
        label = self._label(cells.codes)[usable]
        decision = self._class(self.asked.prediction or MADE, cells.codes)[usable]
        weights, squares, scale = self._weights()
        counted = cells.rows[usable] if weights is None else weights
        table = np.zeros((len(texts) + 1, k, k), dtype=counted.dtype)
        np.add.at(table, (group, label, decision), counted)
        rows = None
        of_squares = np.zeros((len(texts) + 1, k))
        if squares is not None:
            rows = np.zeros((len(texts) + 1, k), dtype=np.int64)
            np.add.at(rows, (group, label), cells.rows[usable])
            np.add.at(of_squares, (group, label), squares)
        names = tuple(texts[at] for at in order)
        labelled, called = self.asked.label is not None, " × ".join(span)
        counts = Counts(
            table[:-1],
            table[-1],
            names,
            self.classes.names,
            called,
            labelled,
            None if squares is None else of_squares,
        )
        if scores is None:
            return Grouping(counts, {}, None, rows)
        calibration = np.full(len(texts), np.nan)
        if calibrated:
            sums = np.bincount(group, scale * cells.sums[usable], minlength=len(texts) + 1)[:-1]
            with np.errstate(invalid="ignore", divide="ignore"):
                calibration = (sums - counts.cells[:, 1]) / counts.sizes
            calibration = np.round(calibration, 10)  # the rows come in any order
        ranked = {row: int(rank[at]) for at, row in enumerate(map(tuple, present.tolist()))}
        auc, above = self._ranked(span, scores, ranked)
        values = {"auc": auc, "calibration": calibration} if labelled else {}
        return Grouping(counts, values, above * scale if rows is not None else above, rows)

    def _weights(
        self,
    ) -> tuple[npt.NDArray[np.float64] | None, npt.NDArray[np.float64] | None, float]:
        """The weights of the usable cells, scaled to sum to the effective rows; and the scale."""
        if self.cells.weights is None or self.cells.squares is None:
            return None, None, 1.0
        weights, squares = (each[self.usable] for each in (self.cells.weights, self.cells.squares))
        scale = float(weights.sum() / squares.sum()) if squares.any() else 1.0
        return weights * scale, squares * scale**2, scale

    def _label(self, codes: dict[str, Ints]) -> Ints:
        """(n,) the label of each cell; 0 where there are no labels."""
        if self.asked.label is None:
            return np.zeros(len(next(iter(codes.values()))), dtype=np.int64)
        return self._class(self.asked.label, codes)

    def _class(self, column: str, codes: dict[str, Ints]) -> Ints:
        """(n,) the class of each cell by one column; -1 where it has none."""
        if column not in self.classes.of_codes:
            return codes[MADE]
        return np.append(self.classes.of_codes[column], MISSING)[codes[column]]

    def _ranked(
        self, span: tuple[str, ...], scores: Scores, groups: dict[tuple[int, ...], int]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
        """The AUC and the rows above the median of all, of each group."""
        needed = [c for c in (self.asked.label, self.asked.prediction) if c is not None]
        usable = np.ones(len(scores.rows), dtype=bool)
        for column in needed:
            usable &= scores.codes[column] != MISSING
        label = self._label(scores.codes)[usable]
        key, rows = scores.key[usable], scores.rows[usable]
        keys = np.stack([scores.codes[column][usable] for column in span], axis=1)
        unique, inverse = np.unique(keys, axis=0, return_inverse=True)
        found = np.array([groups.get(row, len(groups)) for row in map(tuple, unique.tolist())])
        group = found[inverse.reshape(-1)]
        high = above_median(key, rows)
        above = np.bincount(group, rows * high, minlength=len(groups) + 1)[:-1]
        if rows.dtype.kind == "i":
            above = np.round(above).astype(np.int64)
        return auc_of(key, label, rows, group, len(groups)), above
