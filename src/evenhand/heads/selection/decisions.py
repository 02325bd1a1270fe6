"""How heads decided rows they had not seen: one small number a row, from which all counts come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from evenhand._base.arrays import Float64, FloatArray, IntArray
from evenhand._base.distributed import ALONE, World
from evenhand.criteria import Criterion
from evenhand.groups import Groups
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
        shape = (1, 1, self.classes)
        alike = np.zeros_like(self.labels)
        found = [
            tabulate(one, alike, shape, self.offsets, weights=weights)[:, 0, 0]
            for one in self.passed
        ]
        return np.asarray(self.world.sum(np.stack(found)), dtype=np.float64)

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
        shape = (parts, self.classes, self.classes)
        weights = None if self.counting is None else self.counting.values
        found = np.stack(
            [tabulate(one, part, shape, self.offsets, self.labels, weights) for one in self.passed]
        )
        return self.world.sum(found.astype(np.int64) if weights is None else found)


class Judging:
    """Collects what heads decide on rows kept from them, part of the rows after part.

    Args:
        rows: all rows of this process.
        heads: how many, S.
        offsets: added to the log-odds, for two classes.
    """

    def __init__(self, rows: Rows, heads: int, offsets: Sequence[float]) -> None:
        self.rows, self.offsets = rows, tuple(offsets)
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
        own = self.rows.weights
        weights = None if own is None else own.values[places]
        for number, one in enumerate(logits):
            odds = one if one.ndim == 1 else one[:, 1] - one[:, 0]
            if number == 0:
                self.log_odds[places] = odds
            losses = log_losses(one, labels)
            self.losses[number] += float((losses if weights is None else losses * weights).sum())
            self.passed[number, places] = passed_of(one, self.offsets)

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


def log_losses(logits: FloatArray, labels: IntArray) -> Float64:
    """(N,) -log p of each row's label, by logits (N, K) or by the log-odds (N,) of two classes."""
    exact = logits.astype(np.float64)
    if exact.ndim == 2 and exact.shape[1] > 2:
        truth = np.take_along_axis(exact, labels[:, None], axis=1)[:, 0]
        return np.asarray(logsumexp(exact, axis=1) - truth, dtype=np.float64)
    odds = exact if exact.ndim == 1 else exact[:, 1] - exact[:, 0]
    against = np.where(labels == 1, -odds, odds)
    return np.asarray(np.maximum(against, 0) + np.log1p(np.exp(-np.abs(against))))


def ranks_of(offsets: Sequence[float]) -> IntArray:
    """(O,) the place of each offset's threshold among them all, from the lowest on."""
    return np.asarray(np.argsort(np.argsort(-np.asarray(offsets))), dtype=np.int64)


def passed_of(logits: FloatArray, offsets: Sequence[float]) -> IntArray:
    """(N,) thresholds -offset below each row's log-odds; for (N, K > 2) logits the class.

    A head decides the second of two classes where its log-odds and the offset sum to more than 0.
    """
    if logits.ndim == 2 and logits.shape[1] > 2:
        return logits.argmax(axis=1).astype(np.int64)
    odds = logits if logits.ndim == 1 else logits[:, 1] - logits[:, 0]
    return np.searchsorted(np.sort(-np.asarray(offsets)), odds, side="left").astype(np.int64)


def tabulate(
    passed: npt.NDArray[Any],
    part: IntArray,
    shape: tuple[int, int, int],
    offsets: Sequence[float],
    labels: IntArray | None = None,
    weights: Float64 | None = None,
) -> npt.NDArray[Any]:
    """(O, parts, labels, K) counts at every offset of rows by part, label and decision.

    Args:
        passed: (N,) as :func:`passed_of` gives it.
        part: (N,) in [0, parts).
        shape: (parts, labels, K).
        offsets: (O,) for two classes.
        labels: (N,) in [0, labels); all 0 by default.
        weights: (N,) what each row counts; 1 by default.
    """
    parts, number, classes = shape
    cell = part if labels is None else part * number + labels
    width = classes if classes > 2 else len(offsets) + 1
    histogram = np.bincount(cell * width + passed, weights, minlength=parts * number * width)
    histogram = histogram.reshape(parts, number, width)
    if classes > 2:
        return histogram[None]
    below = histogram.cumsum(axis=-1)[..., :-1]
    above = histogram.sum(axis=-1, keepdims=True) - below
    by_threshold = np.moveaxis(np.stack([below, above], axis=-1), 2, 0)
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
