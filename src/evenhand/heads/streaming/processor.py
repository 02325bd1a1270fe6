"""Passes on the processor: a chunk of rows in cache at a time, the chunks dealt out to threads.

Where a read is dear, as from a disk, the soft gaps of two classes take no second one: beside the
sum of each cell's soft decisions the pass collects its derivative in the weights,

    J_c = sum over the rows of cell c of beta p (1 - p) x,

so that the gradient of any function of the cells' means is a combination of the J_c. Elsewhere the
pass keeps the logits instead, and a second one multiplies the features with the slopes of it all:
two reads and two products, where the J_c cost a product for each cell. For K classes a J_c would
have K times the weights' numbers.

Sums are float64 across chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from evenhand._base.arrays import Float64, FloatArray, release
from evenhand._base.threads import threads_allowed
from evenhand.heads.preconditioner import product_here
from evenhand.heads.streaming.chunk import Chunk, HeadLogits
from evenhand.heads.streaming.row_arrays import RowArrays
from evenhand.heads.streaming.sums import Sums

Total = TypeVar("Total")


KEPT_BYTES = 256 << 20
"""Of the logits kept from one pass to the next, at most; more are computed twice."""


class Processor:
    """An :class:`~evenhand.heads.streaming.engine.Engine` for rows in memory or on disk."""

    def __init__(self, rows: RowArrays) -> None:
        self.rows = rows
        self._last: HeadLogits | None = None
        self._libraries = ThreadpoolController()

    @property
    def rereads(self) -> bool:
        """Whether the features are in memory."""
        return self.rows.held

    def over(self, rows: RowArrays) -> Processor:
        """The same for other rows."""
        return Processor(rows)

    def product(self, one: FloatArray, other: FloatArray) -> FloatArray:
        """(d, e) of (N, d), transposed, with (N, e)."""
        return product_here(one, other)

    def sums(
        self, heads: Float64, folds: Sequence[int], betas: Sequence[float], *, whole: bool
    ) -> Sums:
        """One pass: what a fit needs of heads (C, m, d + 1)."""
        columns, m, _ = heads.shape
        self._last = passing = HeadLogits(self.rows, heads, folds)
        size = columns * m * len(self.rows) * self.rows.dtype.itemsize
        if not whole and size <= KEPT_BYTES:
            passing.keep(len(self.rows))

        def add(total: Sums, span: slice) -> None:
            chunk = Chunk(passing, span, by_cell=bool(total.lean))
            loss, delta = chunk.log_loss()
            total.loss[:] += loss
            if whole:
                chunk.add_back(delta, total.slope)
            for beta in betas:
                chunk.add_soft(beta, total.soft[beta], total.lean.get(beta))

        def nothing() -> Sums:
            return Sums.nothing(heads.shape, self.rows.number, betas, whole=whole)

        spans = self.rows.chunks(columns * m, once=not whole)
        total = self._over_chunks(nothing, add, spans)
        passing.complete()
        return total

    def gradient(self, share: Float64, slopes: dict[float, Float64]) -> Float64:
        """(C, m, d + 1) the gradient of the objectives of the heads last summed.

        Raises:
            RuntimeError: :meth:`sums` has not been called.
        """
        passing = self._last
        if passing is None:
            raise RuntimeError("gradient follows sums")

        def add(total: Float64, span: slice) -> None:
            chunk = Chunk(passing, span, by_cell=False)
            slope = chunk.log_loss()[1]
            slope *= share.astype(slope.dtype)[:, None, None]
            slope += chunk.spread(slopes)
            chunk.add_back(slope, total)

        def nothing() -> Float64:
            return np.zeros(passing.shape)

        spans = self.rows.chunks(len(passing.weight), once=passing.kept)
        return self._over_chunks(nothing, add, spans)

    def _over_chunks(
        self,
        nothing: Callable[[], Total],
        add: Callable[[Total, slice], None],
        chunks: Iterator[slice],
    ) -> Total:
        """Sums over this process's chunks; its threads take every so many-th chunk each."""
        spans = list(chunks)
        threads = max(1, min(threads_allowed(), len(spans)))

        def work(first: int) -> Total:
            total = nothing()
            for span in spans[first::threads]:
                add(total, span)
                release(self.rows.features[span])
            return total

        with self._libraries.limit(limits=1):
            if threads == 1:
                return work(0)
            with ThreadPoolExecutor(threads - 1) as pool:
                others = pool.map(work, range(1, threads))
                total = work(0)
                for other in others:
                    total += other  # type: ignore[operator]
        return total
