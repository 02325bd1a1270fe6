"""How far a bound must stand above its estimate, found by choosing again on resampled rows.

The normal quantile covers the noise of one candidate's gap. What is promised is the gap of a
*chosen* candidate, whose estimate is better than its truth because it was chosen; how much better
depends on how many candidates there are and how alike they decide. Resampling the held-out
decisions shows it: in each resample the choice is made anew, and the gap that its candidate has on
all rows stands for the truth (METHOD 6.5). All candidates are resampled: leaving out those that are
unlikely to be chosen leaves out what luck may choose, and the value comes out too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64, IntArray
from evenhand.criteria import Criterion
from evenhand.heads.selection.decisions import Decisions, ranks_of
from evenhand.heads.selection.folds import gathered
from evenhand.heads.selection.rule import Bound
from evenhand.heads.selection.soundness import Mask
from evenhand.metrics.bounds import highest_z
from evenhand.metrics.rates import Array, ErrorMetric, error_metric

DRAWS = 80


ZS = tuple((np.arange(5, 25) / 10).tolist())
"""The critical values that are tried, from the smallest on."""


PROMISING = 0.3
"""A critical value is judged by no smaller share of the resamples."""


CHUNK = 1 << 11
"""Rows whose decisions are held as numbers at a time."""


Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Resampling:
    """The held-out decisions of families, to choose among anew.

    Attributes:
        decisions: of each family, on the same rows; candidates are those of one after the other.
        probability: (N,) of the second class by a model of the labels; None without one.
        draws: how many resamples, R.
    """

    decisions: Sequence[Decisions]
    probability: Float64 | None = None
    draws: int = DRAWS

    def critical_value(
        self,
        bounds: Sequence[Bound],
        confidence: float,
        *,
        able: Mask,
        gaps: dict[Criterion, Array],
        error: str | ErrorMetric | Array,
        min_rows: int,
    ) -> float | None:
        """The smallest critical value by which choices keep ``bounds`` with confidence.

        Args:
            bounds: that are to be promised together.
            confidence: of the promise.
            able: (M,) what may be promised if it is within the bounds.
            gaps: (M,) by criterion, the shortfall on all rows.
            error: what is lowered, by name, or (M,) the error on all rows where it has no name.
            min_rows: a rate of fewer rows is not compared.

        Returns:
            The value; None where none is found.
        """
        if not able.any():
            return None
        tables, _ = self.resampled
        kept = able.copy()
        highest = np.full(tables.shape[:2], np.inf)
        for bound in bounds:
            own = self.decisions[0].effective(tables[:, :, :-1], bound.criterion)
            of_bound = highest_z(own, bound.criterion, bound.limit, min_rows)
            highest = np.minimum(highest, of_bound)
            kept &= gaps[bound.criterion] <= bound.most
        highest[:, ~able] = -np.inf
        errors = self._errors(error)
        for z in ZS:
            within = np.where(highest >= z, errors, np.inf)
            chosen = within.argmin(axis=1)
            made = np.isfinite(within[np.arange(self.draws), chosen])
            if made.mean() < PROMISING:
                return None
            if kept[chosen[made]].mean() >= confidence:
                return z
        return None

    def _errors(self, error: str | ErrorMetric | Array) -> Array:
        """The errors, computed once for each kind that has a name."""
        if not isinstance(error, str):
            return self.errors(error)
        if error not in self._known:
            self._known[error] = self.errors(error)
        return self._known[error]

    @cached_property
    def _known(self) -> dict[str, Array]:
        return {}

    def errors(self, error: str | ErrorMetric | Array) -> Array:
        """(R, M) the error in each resample; half of it expected where there is a model."""
        if isinstance(error, np.ndarray):
            return np.broadcast_to(error, (self.draws, len(error)))
        tables, expected = self.resampled
        metric = error_metric(error)
        counted = np.asarray(metric(tables.sum(axis=2)), dtype=np.float64)
        if expected is None:
            return counted
        return np.asarray((counted + metric(expected)) / 2, dtype=np.float64)

    @cached_property
    def resampled(self) -> tuple[Float32, Float32 | None]:
        """(R, M, G + 1, K, K) counts, and (R, M, K, K) what the model of the labels expects."""
        one = self.decisions[0]
        k, cells = one.classes, (one.groups.number + 1) * one.classes
        cell = one.group * k + one.labels
        weights, counting = self.weights, one.counting
        order = np.argsort(cell, kind="stable")
        ends = np.searchsorted(cell[order], np.arange(cells + 1))
        candidates = sum(len(each.passed) * len(each.offsets) for each in self.decisions)
        counts = np.zeros((cells, k, self.draws, candidates), dtype=np.float32)
        positive = np.zeros((self.draws, candidates), dtype=np.float32)
        sizes, likely = np.zeros((cells, self.draws)), np.zeros(self.draws)
        for number in range(cells):
            for first in range(ends[number], ends[number + 1], CHUNK):
                rows = order[first : min(first + CHUNK, ends[number + 1])]
                drawn = weights[:, rows].astype(np.float32)
                if counting is not None:
                    drawn *= counting.values[rows].astype(np.float32)
                sizes[number] += drawn.sum(axis=1)
                for decision in range(1, k):
                    decided = self._decided(rows, decision)
                    counts[number, decision] += drawn @ decided.T
                    if self.probability is not None:
                        expected = drawn * self.probability[rows].astype(np.float32)
                        positive += expected @ decided.T
                        likely += expected.sum(axis=1)
        world = one.world
        counts, positive = (world.sum(each) for each in (counts, positive))
        sizes, likely = (world.sum(each) for each in (sizes, likely))
        counts[:, 0] = sizes[:, :, None] - counts[:, 1:].sum(axis=1)
        by_cell = counts.reshape(-1, k, k, self.draws, candidates)
        tables = np.ascontiguousarray(np.moveaxis(by_cell, (3, 4), (0, 1)))
        if self.probability is None:
            return tables, None
        decided_as = tables.sum(axis=(2, 3))
        second = np.stack([likely[:, None] - positive, positive], axis=-1)
        return tables, np.stack([decided_as - second, second], axis=-2).astype(np.float32)

    def _decided(self, rows: IntArray, decision: int) -> Float32:
        """(M, n) 1 where a candidate decides a row so."""
        sizes = [len(each.passed) * len(each.offsets) for each in self.decisions]
        found = np.empty((sum(sizes), len(rows)), dtype=np.float32)
        for each, part in zip(self.decisions, np.split(found, np.cumsum(sizes)[:-1]), strict=True):
            passed = each.passed[:, rows]
            if each.classes > 2:
                part[:] = passed == decision
            else:
                ranks = ranks_of(each.offsets).astype(passed.dtype)
                shaped = part.reshape(len(passed), len(ranks), -1)
                shaped[:] = np.greater(passed[:, None], ranks[:, None])
        return found

    @cached_property
    def weights(self) -> npt.NDArray[np.uint8]:
        """(R, N) how often each of this process's rows is drawn, cell by cell."""
        one = self.decisions[0]
        labels, codes, places = gathered(one.labels, one.groups.codes, one.world)
        cell = (codes + 1) * one.classes + labels
        draw = np.random.default_rng(0)
        found = np.zeros((self.draws, len(cell)), dtype=np.uint8)
        for number in np.unique(cell):
            rows = np.flatnonzero(cell == number)
            for one_draw in found:
                drawn = draw.integers(len(rows), size=len(rows))
                one_draw[rows] = np.bincount(drawn, minlength=len(rows))
        return found[:, places]
