"""One pass over features that need not fit in memory, for many heads at once.

A pass reads the features a chunk at a time, once, whatever the number of heads: the product with
all their weights, the slopes of the log-loss, and their products with the same chunk while it is
in cache. Where a read is dear, as from a disk, the soft gaps of two classes take no second one:
beside the sum of each cell's soft decisions the pass collects its derivative in the weights,

    J_c = sum over the rows of cell c of beta p (1 - p) x,

so that the gradient of any function of the cells' means is a combination of the J_c. Elsewhere the
pass keeps the logits instead, and a second one multiplies the features with the slopes of it all:
two reads and two products, where the J_c cost a product for each cell. For K classes a J_c would
have K times the weights' numbers.

Sums are float64 across chunks. Processes that share the rows each pass over their own, and add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from evenhand._base.arrays import Float64, IntArray, release
from evenhand._base.distributed import ALONE, World
from evenhand._base.threads import threads_allowed
from evenhand.errors import InputError
from evenhand.heads.head_fit import LARGEST
from evenhand.heads.streaming.chunk import Chunk, HeadLogits, RowArrays
from evenhand.heads.streaming.sums import Atoms, Sums

Total = TypeVar("Total")


CHUNK_BYTES = 8 << 20
"""Of a chunk of features, and of each temporary beside it: what the last cache holds."""


KEPT_BYTES = 256 << 20
"""Of the logits kept from one pass to the next, at most; more are computed twice."""


MIN_CHUNK, ONCE_CHUNK, MAX_CHUNK = 256, 1 << 14, 1 << 16


_DONE, _CHECK, _SUMS, _GRADIENT = range(4)


class Stream:
    """The rows one process passes over.

    Args:
        features: (N, d), an array, a memory map, or anything whose slices are arrays.
        labels: (N,) integers in [0, K).
        classes: K.
        atoms: the atomic cell of each row, and what the row counts.
        folds: (N,) the fold that holds each row, where heads leave one out.
        weights: (N,) weights of the rows in the log-loss, mean 1.
        dtype: of the products.
        world: the processes that share the rows; each has a stream of its own.
    """

    def __init__(
        self,
        features: Any,
        labels: IntArray,
        classes: int,
        *,
        atoms: Atoms,
        folds: npt.NDArray[Any] | None = None,
        weights: npt.NDArray[Any] | None = None,
        dtype: npt.DTypeLike = np.float32,
        world: World = ALONE,
    ) -> None:
        self.features, self.labels = features, labels
        self.atoms, self.number = atoms.of_row, atoms.number
        self.folds, self.weights, self.dtype, self.world = folds, weights, np.dtype(dtype), world
        self.masses = atoms.masses
        self._rows = RowArrays(
            features,
            labels,
            self.atoms,
            self.number,
            self.dtype,
            self.folds,
            weights,
            self.masses,
        )
        self.largest = LARGEST[self.dtype]
        self.outputs = 1 if classes == 2 else classes
        self.width = int(features.shape[1])
        self.passes = 0
        self._last: HeadLogits | None = None
        self._libraries = ThreadpoolController()

    @property
    def held(self) -> bool:
        """Whether the features are in memory, where reading them twice is cheap."""
        mapped = getattr(self.features, "_mmap", None)
        return isinstance(self.features, np.ndarray) and mapped is None

    def chunks(self, columns: int = 1, *, once: bool = False) -> Iterator[slice]:
        """Spans of rows whose features and ``columns`` numbers each stay in cache.

        The features need not where each is used ``once``, unless they are to be converted.
        """
        direct = once and self.held and self.features.dtype == self.dtype
        widest = max(1 if direct else self.width, columns) * self.dtype.itemsize
        most = ONCE_CHUNK if direct else MAX_CHUNK
        step = int(np.clip(CHUNK_BYTES // widest, MIN_CHUNK, most))
        rows, threads = len(self.labels), threads_allowed()
        # As many for each thread, of one size.
        number = max(1, threads * -(-rows // (threads * step)))
        step = max(1, min(MIN_CHUNK, step), -(-rows // number))
        for start in range(0, rows, step):
            yield slice(start, min(start + step, rows))

    @contextmanager
    def driven(self) -> Iterator[bool]:
        """A block in which the first process asks for passes, and the others answer.

        True in the first process; in the others False, once the first has left its block.

        Raises:
            InputError: in every process, what the first raised in its block.
        """
        if self.world.size == 1:
            yield True
        elif self.world.first:
            refused = b""
            try:
                yield True
            except InputError as error:
                refused = str(error).encode()
                raise
            finally:
                self._ask(np.array([_DONE]), np.frombuffer(refused, dtype=np.uint8))
        else:
            refused = self._follow()
            if refused:
                raise InputError(refused.decode())
            yield False

    def _ask(self, *arrays: npt.NDArray[Any]) -> None:
        """Tell the other processes what is to be summed."""
        if self.world.size > 1 and self.world.first:
            for array in arrays:
                self.world.broadcast(array)

    def _follow(self) -> bytes:
        """Sum what the first process asks for, until it is done; its last words."""
        receive = self.world.broadcast
        while True:
            request = int(receive(None)[0])
            if request == _DONE:
                return bytes(receive(None).tobytes())
            if request == _CHECK:
                with suppress(InputError):  # the first process says so
                    self.require_finite()
                continue
            betas = receive(None).tolist()
            if request == _SUMS:
                self.sums(
                    receive(None), receive(None).tolist(), betas, whole=bool(receive(None)[0])
                )
            else:
                self.gradient(receive(None), {beta: receive(None) for beta in betas})

    def require_finite(self) -> None:
        """Read all rows for features that no arithmetic can be done with.

        Raises:
            InputError: NaN, infinity or too large a magnitude; the message counts the rows.
        """
        self._ask(np.array([_CHECK]))
        found = np.zeros(3, dtype=np.int64)
        for span in self.chunks():
            x = self.features[span]
            finite, huge = np.isfinite(x), np.abs(x) > self.largest
            found += (~finite).any(axis=1).sum(), huge.any(axis=1).sum(), len(x)
            release(x)
        bad, huge_rows, rows = self.world.sum(found).tolist()
        if bad:
            raise InputError(
                f"features hold NaN or infinity in {bad} rows of {rows}; remove or impute them"
            )
        if huge_rows:
            raise InputError(
                f"features reach beyond {self.largest:g} in {huge_rows} rows of {rows}: "
                "their squares overflow; standardise them"
            )

    def sums(
        self, heads: Float64, folds: Sequence[int], betas: Sequence[float], *, whole: bool
    ) -> Sums:
        """One pass: what a fit needs of heads (C, m, d + 1), over all processes.

        Args:
            heads: their weights, the bias last.
            folds: (C,) the fold each leaves out; -1: none.
            betas: steepnesses of the soft decisions to sum; none for the log-loss alone.
            whole: with all derivatives, in this one pass; for more than two classes only where
                there are no ``betas``. False: they are left to :meth:`gradient`.
        """
        self.passes += 1
        self._ask(np.array([_SUMS]), np.array(betas, dtype=np.float64))
        self._ask(heads, np.array(folds), np.array([whole]))
        columns, m, wide = heads.shape
        self._last = passing = HeadLogits(self._rows, heads, folds)
        if not whole and columns * m * len(self.labels) * self.dtype.itemsize <= KEPT_BYTES:
            passing.keep(len(self.labels))

        def nothing() -> Sums:
            soft = {beta: np.zeros((self.number, columns, m)) for beta in betas}
            leaning = betas if whole else ()
            lean = {beta: np.zeros((self.number, columns, wide)) for beta in leaning}
            return Sums(np.zeros(columns), soft, np.zeros(heads.shape if whole else 0), lean)

        def add(total: Sums, span: slice) -> None:
            chunk = Chunk(passing, span, by_cell=bool(total.lean))
            loss, delta = chunk.log_loss()
            total.loss[:] += loss
            if whole:
                chunk.add_back(delta, total.slope)
            for beta in betas:
                chunk.add_soft(beta, total.soft[beta], total.lean.get(beta))

        total = self._over_chunks(nothing, add, self.chunks(columns * m, once=not whole))
        passing.complete()
        if self.world.size > 1:
            for array in total.arrays():
                array[...] = self.world.sum(array)
        return total

    def gradient(self, share: Float64, slopes: dict[float, Float64]) -> Float64:
        """(C, m, d + 1) the gradient, in the weights of the heads last summed, of their objectives.

        A second pass, which follows :meth:`sums`.

        Args:
            share: (C,) what the sums of the log-loss are multiplied by.
            slopes: beta to (A, C, m), the gradient of the rest at the soft sums.

        Raises:
            RuntimeError: :meth:`sums` has not been called.
        """
        if self._last is None:
            raise RuntimeError("gradient follows sums")
        passing, self.passes = self._last, self.passes + 1
        self._ask(np.array([_GRADIENT]), np.array(list(slopes)), share, *slopes.values())

        def add(total: Float64, span: slice) -> None:
            chunk = Chunk(passing, span, by_cell=False)
            slope = chunk.log_loss()[1]
            slope *= share.astype(slope.dtype)[:, None, None]
            slope += chunk.spread(slopes)
            chunk.add_back(slope, total)

        def nothing() -> Float64:
            return np.zeros(passing.shape)

        spans = self.chunks(len(passing.weight), once=passing.kept)
        return self.world.sum(self._over_chunks(nothing, add, spans))

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
                release(self.features[span])
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
