"""How heads decided rows they had not seen: one small number a row, from which all counts come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64, FloatArray, IntArray
from evenhand._base.distributed import ALONE, World
from evenhand.criteria import Criterion
from evenhand.groups import Groups
from evenhand.heads.selection.blocks import blocks, label_signs, losses_of, passed_of
from evenhand.heads.selection.thresholds import Thresholds
from evenhand.metrics.effective import effective_factors
from evenhand.rows import Rows
from evenhand.weights import Weights, sums_by

Passed = npt.NDArray[np.int8] | npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Decisions:
    """What S heads decided on each of N rows kept from them, at every offset.

    Attributes:
        passed: (S, N) for two classes how many of the thresholds -offset lie below the row's
            log-odds, for more the class decided.
        log_odds: (N,) of the first head; for two classes.
        labels: (N,) in [0, K).
        groups: of the rows.
        classes: K.
        offsets: (O,) added to the log-odds.
        world: the processes that share the rows, each with its own.
        counting: what each row counts, so that all sum to the effective rows; 1 by default.
    """

    passed: Passed
    log_odds: Float64
    labels: IntArray
    groups: Groups
    classes: int
    offsets: tuple[float, ...]
    world: World = ALONE
    counting: Weights | None = None

    @property
    def group(self) -> IntArray:
        """(N,) each row's group, G for the unknown."""
        found: IntArray = np.where(self.groups.known, self.groups.codes, self.groups.number)
        return found

    def tables(self) -> IntArray:
        """(S, O, G + 1, K, K) counts by group, label and decision, over all processes."""
        return self._counted(self.group, self.groups.number + 1)

    def squares(self) -> Float64 | None:
        """(G + 1, K) sums of the squared weights by group and label; None of plain rows."""
        if self.counting is None:
            return None
        parts = self.groups.number + 1
        cells = self.group * self.classes + self.labels
        found = sums_by(cells, parts * self.classes, self.counting)[1]
        return np.asarray(self.world.sum(found.reshape(parts, -1)), dtype=np.float64)

    def effective(self, tables: npt.NDArray[Any], criterion: Criterion) -> npt.NDArray[Any]:
        """(..., G, K, K) tables of these rows, drawn anew or not, as rows that are as sure."""
        squares = self.squares()
        if squares is None or self.counting is None:
            return tables
        shape = squares.shape
        sums = sums_by(self.group * self.classes + self.labels, squares.size, self.counting)[0]
        sums = self.world.sum(sums.reshape(shape))
        factors = effective_factors(criterion, sums[:-1], squares[:-1])
        return np.asarray(tables * factors[..., None])

    def weighted(self, values: Float64) -> Float64:
        """(S, O, K) sums of the rows' ``values`` (N,) by decision, over all processes."""
        weights = values if self.counting is None else values * self.counting.values
        found = self._histograms(np.zeros_like(self.labels), 1, weights)[:, :, 0]
        return np.asarray(self.world.sum(found), dtype=np.float64)

    def differing(self, other: IntArray) -> IntArray:
        """(S, O, K) rows of each label decided otherwise than ``other`` (N,), in all processes."""
        tables = self._counted(other, self.classes)
        same = np.einsum("sodyd->soy", tables)
        return np.asarray(tables.sum(axis=(2, 4)) - same)

    def at(self, index: tuple[int, int]) -> IntArray:
        """(N,) the decisions of one head at one offset."""
        passed = self.passed[index[0]].astype(np.int64)
        if self.classes > 2:
            return passed
        rank = int(ranks_of(self.offsets)[index[1]])
        return (passed > rank).astype(np.int64)

    def _counted(self, part: IntArray, parts: int) -> IntArray:
        """(S, O, parts, K, K) counts by part of the rows, label and decision."""
        weights = None if self.counting is None else self.counting.values
        cells = parts * self.classes
        found = self._histograms(part * self.classes + self.labels, cells, weights)
        found = found.reshape(*found.shape[:2], parts, self.classes, self.classes)
        return self.world.sum(found)

    def _histograms(self, cell: IntArray, cells: int, weights: Float64 | None) -> npt.NDArray[Any]:
        """(S, O, cells, K) sums of the rows' weights, 1 by default, by cell and decision."""
        kinds = _kinds(self.classes, self.offsets)
        first = cell * kinds
        found = np.stack(
            [np.bincount(first + one, weights, minlength=cells * kinds) for one in self.passed]
        )
        shaped = found.reshape(len(self.passed), cells, kinds)
        return np.moveaxis(_by_decision(shaped, self.classes, self.offsets), 0, 1)


class Judging:
    """Collects what heads decide on rows kept from them, part of the rows after part.

    Args:
        rows: all rows of this process.
        heads: how many, S.
        offsets: added to the log-odds, for two classes.
    """

    def __init__(self, rows: Rows, heads: int, offsets: Sequence[float]) -> None:
        self.rows, self.offsets, self.thresholds = rows, tuple(offsets), Thresholds(offsets)
        small = np.int8 if max(len(rows.classes), len(offsets)) < 127 else np.int16
        self.passed = np.zeros((heads, len(rows)), dtype=small)
        self.log_odds = np.zeros(len(rows))
        self.losses = np.zeros(heads)
        self.counting = rows.counting

    def add(self, places: IntArray, logits: Iterable[FloatArray]) -> None:
        """What each head gives for the rows at ``places``: (n, K) logits, or (n,) log-odds.

        Log-odds are those of two classes; heads come in their order.
        """
        labels = self.rows.labels[places]
        signs = label_signs(labels)
        own = self.rows.weights
        weights = None if own is None else own.values[places]
        for heads, block in blocks(logits):
            if heads.start == 0 and block.ndim == 2:
                self.log_odds[places] = block[0]
            losses = losses_of(block, labels, signs)
            self.losses[heads] += (losses if weights is None else losses * weights).sum(axis=1)
            self.passed[heads, places] = passed_of(block, self.thresholds)

    def decisions(self) -> Decisions:
        """All of them."""
        rows = self.rows
        return Decisions(
            self.passed,
            self.log_odds,
            rows.labels,
            rows.groups,
            len(rows.classes),
            self.offsets,
            rows.world,
            self.counting,
        )

    def log_loss(self) -> Float64:
        """(S,) mean log-loss at offset 0, over the rows of all processes."""
        total = self.rows.total_weight
        return np.asarray(self.rows.world.sum(self.losses) / total, dtype=np.float64)


class Given:
    """How often heads, fitted on all rows, decide each class on them, part after part.

    Args:
        rows: all rows of this process.
        heads: how many, S.
        offsets: added to the log-odds, for two classes.
    """

    def __init__(self, rows: Rows, heads: int, offsets: Sequence[float]) -> None:
        self.rows, self.offsets, self.classes = rows, tuple(offsets), len(rows.classes)
        self.thresholds = Thresholds(offsets)
        weights = rows.counting
        self.weights = None if weights is None else weights.values
        kind = np.int64 if weights is None else np.float64
        self.histogram = np.zeros((heads, _kinds(self.classes, self.offsets)), dtype=kind)

    def add(self, places: IntArray, logits: Iterable[FloatArray]) -> None:
        """What each head gives for the rows at ``places``, as to :meth:`Judging.add`."""
        weights = None if self.weights is None else self.weights[places]
        passed = (one for _, block in blocks(logits) for one in passed_of(block, self.thresholds))
        for histogram, one in zip(self.histogram, passed, strict=True):
            histogram += np.bincount(one, weights, minlength=len(histogram))

    def total(self) -> IntArray:
        """(S, O, K) over all processes."""
        counts = _by_decision(self.histogram, self.classes, self.offsets)
        return self.rows.world.sum(np.moveaxis(counts, 0, 1))


def ranks_of(offsets: Sequence[float]) -> IntArray:
    """(O,) the place of each offset's threshold among them all, from the lowest on."""
    return np.asarray(np.argsort(np.argsort(-np.asarray(offsets))), dtype=np.int64)


def _kinds(classes: int, offsets: Sequence[float]) -> int:
    """How many values :func:`~evenhand.heads.selection.blocks.passed_of` may give."""
    return classes if classes > 2 else len(offsets) + 1


def _by_decision(
    histogram: npt.NDArray[Any], classes: int, offsets: Sequence[float]
) -> npt.NDArray[Any]:
    """(O, ..., K) counts of each decision at every offset, of (..., kinds) that were passed."""
    if classes > 2:
        return histogram[None]
    below = histogram.cumsum(axis=-1)[..., :-1]
    above = histogram.sum(axis=-1, keepdims=True) - below
    by_threshold = np.moveaxis(np.stack([below, above], axis=-1), -2, 0)
    return np.asarray(by_threshold[ranks_of(offsets)])


def count_offsets(logits: FloatArray, rows: Rows, offsets: Sequence[float]) -> IntArray:
    """(O, G + 1, K, K) counts of the decisions at each offset; the last group is the unknown."""
    judging = Judging(rows, 1, offsets)
    judging.add(np.arange(len(rows)), iter([logits]))
    tables: IntArray = judging.decisions().tables()[0]
    return tables


def log_odds_of(fits: Sequence[Any], features: FloatArray) -> Iterator[FloatArray]:
    """The logits of each of some fits on features."""
    for fit in fits:
        yield fit.logits(features)
