"""One pass over features that need not fit in memory, for many heads at once.

A pass reads the features a chunk at a time, once, whatever the number of heads: the product with
all their weights, the slopes of the log-loss, and their products with the same chunk while it is
in cache. For two classes the soft gaps take no second read: beside the sum of each cell's soft
decisions the pass collects its derivative in the weights,

    J_c = sum over the rows of cell c of beta p (1 - p) x,

so that the gradient of any function of the cells' means is a combination of the J_c. For K classes
J_c would have K times the weights' numbers: the means take a pass of their own.

Sums are float64 across chunks. Processes that share the rows each pass over their own, and add up.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import ThreadpoolController

from evenhand.distributed import ALONE, World
from evenhand.errors import InputError
from evenhand.gaps import GapTerm, penalty_of_means
from evenhand.groups import IntArray

Float64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]
Total = TypeVar("Total")
CHUNK_BYTES = 8 << 20
"""Of a chunk of features, and of each temporary beside it: what the last cache holds."""
MIN_CHUNK, MAX_CHUNK = 256, 1 << 16
_DONE, _CHECK, _SUMS, _PULL = range(4)


@dataclass(frozen=True, eq=False)
class Part:
    """The rows some of the heads are fitted on, as sums need them.

    Attributes:
        fold: the rows' ``folds`` number that is left out; -1: all rows count.
        rows: how many rows count, over all processes.
        terms: the penalties on these rows, and for each the cell in it of every atomic cell.
    """

    fold: int
    rows: int
    terms: tuple[tuple[GapTerm, IntArray], ...]

    def betas(self) -> set[float]:
        """The steepnesses the terms need."""
        return {term.beta for term, _ in self.terms}


@dataclass(frozen=True, eq=False)
class Sums:
    """What a pass collects for C heads of m outputs, over all rows that count for each.

    Attributes:
        loss: (C,) sums of the log-loss.
        slope: (C, m, d + 1) sums of its gradient in the weights, the bias last.
        soft: beta to (A, C, m), the sums of soft decisions in each atomic cell.
        lean: beta to (A, C, d + 1), their derivative in the weights; for two classes only.
    """

    loss: Float64
    slope: Float64
    soft: dict[float, Float64]
    lean: dict[float, Float64]

    def __iadd__(self, other: Sums) -> Sums:
        for mine, theirs in zip(self.arrays(), other.arrays(), strict=True):
            mine += theirs
        return self

    def arrays(self) -> list[Float64]:
        """All sums, in a fixed order."""
        return [self.loss, self.slope, *self.soft.values(), *self.lean.values()]


class Stream:
    """The rows one process passes over.

    Args:
        features: (N, d), an array, a memory map, or anything whose slices are arrays.
        labels: (N,) integers in [0, K).
        classes: K.
        atoms: (N,) the atomic cell of each row; ``number`` for rows in none.
        number: of atomic cells, A.
        folds: (N,) the fold that holds each row, where heads leave one out.
        weights: (N,) weights of the rows in the log-loss, mean 1.
        dtype: of the products.
        world: the processes that share the rows; each has a stream of its own.
        largest: magnitude a feature may have.
    """

    def __init__(
        self,
        features: Any,
        labels: IntArray,
        classes: int,
        *,
        atoms: npt.NDArray[Any],
        number: int,
        folds: npt.NDArray[Any] | None = None,
        weights: npt.NDArray[Any] | None = None,
        dtype: npt.DTypeLike = np.float32,
        world: World = ALONE,
        largest: float = np.inf,
    ) -> None:
        self.features, self.labels, self.atoms, self.number = features, labels, atoms, number
        self.folds, self.weights, self.dtype, self.world = folds, weights, np.dtype(dtype), world
        self.largest = largest
        self.outputs = 1 if classes == 2 else classes
        self.width = int(features.shape[1])
        self.passes = 0
        self._libraries = ThreadpoolController()

    def chunks(self, columns: int = 1) -> Iterator[slice]:
        """Spans of rows whose features and ``columns`` numbers each stay in cache."""
        widest = max(self.width, columns) * self.dtype.itemsize
        step = int(np.clip(CHUNK_BYTES // widest, MIN_CHUNK, MAX_CHUNK))
        for start in range(0, len(self.labels), step):
            yield slice(start, min(start + step, len(self.labels)))

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
        hear = self.world.broadcast
        while True:
            said = int(hear(None)[0])
            if said == _DONE:
                return bytes(hear(None).tobytes())
            if said == _CHECK:
                with suppress(InputError):  # the first process says so
                    self.require_finite()
                continue
            heads, folds, betas = hear(None), hear(None).tolist(), hear(None).tolist()
            if said == _SUMS:
                self.sums(heads, folds, betas)
            else:
                self.pull(heads, folds, {beta: hear(None) for beta in betas})

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

    def sums(self, heads: Float64, folds: Sequence[int], betas: Sequence[float]) -> Sums:
        """One pass: everything about heads (C, m, d + 1) that a fit needs, over all processes.

        Args:
            heads: their weights, the bias last.
            folds: (C,) the fold each leaves out; -1: none.
            betas: steepnesses of the soft decisions to sum; none for the log-loss alone.
        """
        self.passes += 1
        self._ask(np.array([_SUMS]), heads, np.array(folds), np.array(betas, dtype=np.float64))
        passing = _Pass(self, heads, folds)
        columns, m, wide = heads.shape

        def nothing() -> Sums:
            soft = {beta: np.zeros((self.number, columns, m)) for beta in betas}
            leaning = betas if m == 1 else ()
            lean = {beta: np.zeros((self.number, columns, wide)) for beta in leaning}
            return Sums(np.zeros(columns), np.zeros(heads.shape), soft, lean)

        def add(total: Sums, span: slice) -> None:
            chunk = _Chunk(passing, span, by_cell=bool(betas))
            loss, delta = chunk.log_loss()
            total.loss[:] += loss
            chunk.add_back(delta, total.slope)
            for beta in betas:
                chunk.add_soft(beta, total.soft[beta], total.lean.get(beta))

        total = self._over_chunks(nothing, add, columns * m)
        if self.world.size > 1:
            for array in total.arrays():
                array[...] = self.world.sum(array)
        return total

    def pull(self, heads: Float64, folds: Sequence[int], slopes: dict[float, Float64]) -> Float64:
        """(C, m, d + 1) the gradient in the weights of a function of the cells' soft sums.

        A second pass, for more than two classes.

        Args:
            heads: as for :meth:`sums`.
            folds: likewise.
            slopes: beta to (A, C, m), the function's gradient at the soft sums.
        """
        self.passes += 1
        self._ask(np.array([_PULL]), heads, np.array(folds), np.array(list(slopes)))
        self._ask(*slopes.values())
        passing = _Pass(self, heads, folds)

        def add(total: Float64, span: slice) -> None:
            chunk = _Chunk(passing, span, by_cell=False)
            chunk.add_back(chunk.spread(slopes), total)

        def nothing() -> Float64:
            return np.zeros(heads.shape)

        return self.world.sum(self._over_chunks(nothing, add, heads.shape[0] * heads.shape[1]))

    def _over_chunks(
        self, nothing: Callable[[], Total], add: Callable[[Total, slice], None], columns: int
    ) -> Total:
        """Sums over this process's chunks; its threads take every so many-th chunk each."""
        spans = list(self.chunks(columns))
        threads = max(1, min(torch.get_num_threads(), len(spans)))

        def work(first: int) -> Total:
            total = nothing()
            for span in spans[first::threads]:
                add(total, span)
                release(self.features[span])
            return total

        with self._libraries.limit(limits=1):
            if threads == 1:
                return work(0)
            with ThreadPoolExecutor(threads) as pool:
                totals = list(pool.map(work, range(threads)))
        total = totals[0]
        for other in totals[1:]:
            total += other  # type: ignore[operator]
        return total


class _Pass:
    """Heads on their way over the rows."""

    def __init__(self, stream: Stream, heads: Float64, folds: Sequence[int]) -> None:
        self.stream = stream
        flat = heads.reshape(-1, heads.shape[2])
        self.weight = np.ascontiguousarray(flat[:, :-1], dtype=stream.dtype)
        self.bias = flat[:, -1:].astype(stream.dtype)
        self.columns = heads.shape[0]
        self.left_out = np.asarray(folds)
        self.masked = stream.folds is not None and bool((self.left_out >= 0).any())


class _Chunk:
    """Some rows in memory, the heads' logits on them, and which rows count for which head."""

    def __init__(self, passing: _Pass, span: slice, by_cell: bool) -> None:
        stream = passing.stream
        x, labels, atoms = stream.features[span], stream.labels[span], stream.atoms[span]
        folds = stream.folds[span] if passing.masked and stream.folds is not None else None
        weights = None if stream.weights is None else stream.weights[span]
        self.edges = np.zeros(0, dtype=np.int64)
        if by_cell:
            order = np.argsort(atoms, kind="stable")
            x, labels, atoms = x[order], labels[order], atoms[order]
            folds = None if folds is None else folds[order]
            weights = None if weights is None else weights[order]
            self.edges = np.searchsorted(atoms, np.arange(stream.number + 1))
        self.x: Floats = np.asarray(x, dtype=stream.dtype)
        self.labels, self.atoms = labels, atoms
        logits = passing.weight @ self.x.T
        logits += passing.bias
        self.z: Floats = logits.reshape(passing.columns, stream.outputs, len(labels))
        self.weights: Floats | None = None if weights is None else weights.astype(stream.dtype)
        self.counts: npt.NDArray[np.bool_] | None = None
        if folds is not None:
            self.counts = (folds != passing.left_out[:, None])[:, None]

    def log_loss(self) -> tuple[Float64, Floats]:
        """(C,) the sums of the log-loss, and (C, m, n) its slopes."""
        if self.z.shape[1] == 1:
            positive = self.labels.astype(self.z.dtype)
            delta, losses = _sigmoid(self.z), np.log1p(np.exp(-np.abs(self.z)))
            losses += np.maximum(self.z, 0)
            losses -= positive * self.z
            delta -= positive
        else:
            highest = self.z.max(axis=1, keepdims=True)
            delta = np.exp(self.z - highest)
            total = delta.sum(axis=1, keepdims=True)
            each = np.arange(len(self.labels))
            losses = np.log(total) + highest - self.z[:, self.labels, each][:, None]
            delta /= total
            delta[:, self.labels, each] -= 1
        for factor in (self.weights, self.counts):
            if factor is not None:
                losses *= factor
                delta *= factor
        return losses.sum(axis=(1, 2), dtype=np.float64), delta

    def add_back(self, slope: Floats, total: Float64) -> None:
        """Add to (C, m, d + 1) the gradient in the weights of slopes (C, m, n) at the logits."""
        flat = slope.reshape(-1, slope.shape[2])
        total[:, :, :-1] += (flat @ self.x).reshape(*slope.shape[:2], -1)
        total[:, :, -1] += slope.sum(axis=2, dtype=np.float64)

    def soft(self, beta: float) -> Floats:
        """(C, m, n) soft decisions."""
        if self.z.shape[1] == 1:
            return _sigmoid(beta * self.z)
        p: Floats = np.exp(beta * (self.z - self.z.max(axis=1, keepdims=True)))
        p /= p.sum(axis=1, keepdims=True)
        return p

    def add_soft(self, beta: float, sums: Float64, lean: Float64 | None) -> None:
        """Add the atomic cells' sums of soft decisions, and their derivative where asked for."""
        p = self.soft(beta)
        steep = None if lean is None else (beta * p * (1 - p))[:, 0]
        if self.counts is not None:
            p *= self.counts
            if steep is not None:
                steep *= self.counts[:, 0]
        for atom in np.flatnonzero(np.diff(self.edges)):
            rows = slice(int(self.edges[atom]), int(self.edges[atom + 1]))
            sums[atom] += p[:, :, rows].sum(axis=2, dtype=np.float64)
            if steep is not None and lean is not None:
                lean[atom, :, :-1] += steep[:, rows] @ self.x[rows]
                lean[atom, :, -1] += steep[:, rows].sum(axis=1, dtype=np.float64)

    def spread(self, slopes: dict[float, Float64]) -> Floats:
        """(C, m, n) slopes at the logits, of slopes (A, C, m) at the atomic cells' soft sums."""
        total: Floats = np.zeros_like(self.z)
        for beta, by_atom in slopes.items():
            padded = np.concatenate([by_atom, np.zeros((1, *by_atom.shape[1:]))])
            by_row = np.moveaxis(padded.astype(self.z.dtype)[self.atoms], 0, 2)
            p = self.soft(beta)
            total += beta * p * (by_row - (p * by_row).sum(axis=1, keepdims=True))
        if self.counts is not None:
            total *= self.counts
        return total


def release(rows: Any) -> None:
    """Give back the memory of memory-mapped rows; they are read anew when they are used again.

    Pages of a map stay with the process that read them until others need the memory, which looks
    as if the whole file had been loaded, and may be refused where memory is rationed.
    """
    mapped = getattr(rows, "_mmap", None)
    if mapped is None or getattr(rows, "mode", "c") == "c" or not hasattr(mmap, "MADV_DONTNEED"):
        return
    if not rows.size or not rows.flags.c_contiguous:
        return
    begin = rows.ctypes.data - np.frombuffer(mapped, dtype=np.uint8).ctypes.data
    first = begin // mmap.PAGESIZE * mmap.PAGESIZE
    mapped.madvise(mmap.MADV_DONTNEED, first, begin + rows.nbytes - first)


def _sigmoid(z: Floats) -> Floats:
    """1 / (1 + exp(-z)), of any size."""
    small = np.exp(-np.abs(z))
    large = 1 / (1 + small)
    small *= large
    found: Floats = np.where(z >= 0, large, small)
    return found


def atomic_cells(terms: Sequence[GapTerm], rows: int, world: World = ALONE) -> tuple[IntArray, int]:
    """(N,) the coarsest cells that every term's cells are unions of, and how many there are.

    Rows in no term's cell have the number itself.
    """
    mixed, size = np.zeros(rows, dtype=np.int64), 1
    for term in terms:
        mixed = mixed * (len(term.sizes) + 1) + term.cell
        size *= len(term.sizes) + 1
    used = world.sum(np.bincount(mixed, minlength=size)) > 0
    used[size - 1] = False  # in no cell of any
    rank = np.full(size, int(used.sum()))
    rank[used] = np.arange(int(used.sum()))
    return rank[mixed], int(used.sum())


def cells_of_atoms(term: GapTerm, atoms: IntArray, number: int, world: World = ALONE) -> IntArray:
    """(A,) the cell in ``term`` of every atomic cell; C for those in none."""
    found = np.zeros(number + 1, dtype=np.int64)
    found[atoms] = term.cell + 1
    if world.size > 1:
        found = np.max(world.gather(found), axis=0)
    return found[:number] - 1


def penalties(
    part: Part, sums: Sums, head: int, strength: float
) -> tuple[float, dict[float, Float64]]:
    """strength × the penalty of one head, and its gradient (A, m) at each beta's soft sums."""
    value = 0.0
    slopes: dict[float, Float64] = {}
    for term, cells in part.terms:
        soft = sums.soft[term.beta][:, head]
        members = _members(term, cells)
        means = (members @ soft) / term.sizes[:, None]
        penalty, slope = penalty_of_means(term, means)
        value += strength * penalty
        by_atom = strength * members.T @ (slope / term.sizes[:, None])
        slopes[term.beta] = slopes[term.beta] + by_atom if term.beta in slopes else by_atom
    return value, slopes


def stiffness(part: Part, sums: Sums, head: int, strength: float) -> Float64:
    """(c, d + 1) rows R such that Rᵀ R is the penalty's Gauss-Newton Hessian; two classes only."""
    rows = []
    for term, cells in part.terms:
        members = _members(term, cells) / term.sizes[:, None]
        lean = members @ sums.lean[term.beta][:, head]
        rows.append(np.sqrt(2 * strength * term.weight) * (term.contrast @ lean))
    return np.vstack(rows) if rows else np.zeros((0, sums.slope.shape[2]))


def _members(term: GapTerm, cells: IntArray) -> Float64:
    """(C, A) 1 where an atomic cell is part of the term's cell."""
    return (cells[None, :] == np.arange(len(term.sizes))[:, None]).astype(np.float64)
