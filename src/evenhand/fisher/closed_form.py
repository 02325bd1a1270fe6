"""The closed form's arithmetic: chunks that stay in cache, one per thread, summed in float64.

With e = exp(z - max z) and s the sum of a row's e, p = e / s. Nothing below subtracts numbers that
are nearly equal: where a class is all but certain, 1 - p is the sum of the *other* classes' e over
s, so that float32 loses no more than its rounding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from evenhand._base.arrays import IntArray
from evenhand.errors import InputError
from evenhand.rows import Rows

Array = npt.NDArray[Any]


Made = TypeVar("Made")


DOUBLE_WIDTH = 64
"""Up to this many features everything is float64, as in the solver: it costs nothing there."""


CHUNK_BYTES = 1 << 20
"""Of a chunk and its squares: what a core's own cache holds. Wide rows have more, up to four times
this for ``CHUNK_ROWS`` of them: the weight is read anew for each chunk, and calls cost too."""


CHUNK_ROWS = 1024
SMALL = 50_000_000
"""Multiplications that one thread has done before a pool of threads has started."""


class FisherSums(NamedTuple):
    """Sums over rows: a chunk's in the dtype of the computation, all rows' in float64.

    Attributes:
        rows: (G, d) of x_i² ||delta||², by group.
        diagonal: (G, d, k) of x_i² delta_j², where asked for.
        kronecker: (d, d) of x xᵀ, (k, k) of diag(p) - p pᵀ and (d,) of x, over all rows.
    """

    rows: Array
    diagonal: Array | None
    kronecker: tuple[Array, Array, Array] | None


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """The Fisher sums of a softmax head, for one chunk after another.

    Attributes:
        weight, bias: (d, k) and (k,), in the dtype to compute in.
        groups: how many there are, G.
        expected: labels drawn from the model instead of those given.
        diagonal, kronecker: collect these too.
    """

    weight: Array
    bias: Array
    groups: int
    expected: bool
    diagonal: bool
    kronecker: bool

    def in_dtype(self, dtype: npt.DTypeLike) -> ClosedForm:
        """The same, computed in another dtype."""
        return replace(self, weight=self.weight.astype(dtype), bias=self.bias.astype(dtype))

    def zeros(self) -> FisherSums:
        """The sums over no rows."""
        d, k = self.weight.shape
        return FisherSums(
            np.zeros((self.groups, d)),
            np.zeros((self.groups, d, k)) if self.diagonal else None,
            (np.zeros((d, d)), np.zeros((k, k)), np.zeros(d)) if self.kronecker else None,
        )

    def __call__(
        self, features: Array, labels: IntArray, codes: IntArray, weights: Array | None = None
    ) -> FisherSums | None:
        """The sums over rows with features (n, d), labels (n,) and group codes (n,), -1: unknown.

        Args:
            features, labels, codes: of the rows.
            weights: (n,) how often each row counts; once by default.

        Returns:
            None where numbers that are finite overflow the dtype: compute in a wider one.

        Raises:
            InputError: a feature is not finite.
        """  # noqa: DOC502
        if self.diagonal:  # each group's rows side by side: one product a group
            order = np.argsort(codes, kind="stable")
            features, labels, codes = features[order], labels[order], codes[order]
            weights = None if weights is None else weights[order]
        x = np.asarray(features, dtype=self.weight.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            e = x @ self.weight
            e += self.bias
            highest = e.max(axis=1)
            # A feature that is not finite leaves no logit of its row finite.
            if not np.isfinite(highest).all():
                _refuse_unless_finite(features)
                return None
            e -= highest[:, None]
            own = np.ones(len(x)) if weights is None else weights
            sums = self._sums(x, np.exp(e, out=e), labels, codes, own.astype(x.dtype))
        return sums if np.isfinite(sums.rows).all() else None

    def _sums(
        self, x: Array, e: Array, labels: IntArray, codes: IntArray, weights: Array
    ) -> FisherSums:
        one = np.arange(len(x)), e.argmax(axis=1) if self.expected else labels
        chosen = e[one]
        e[one] = 0
        others = e.sum(axis=1)
        total = others + chosen
        kronecker = None
        if self.kronecker:
            e /= total[:, None]
            chosen, others, total = chosen / total, others / total, np.ones_like(total)
            e[one] = chosen
            kronecker = x.T @ (x * weights[:, None]), np.diag(weights @ e), weights @ x
            kronecker[1][...] -= e.T @ (e * weights[:, None])
            e[one] = 0
        squares = np.einsum("nk,nk->n", e, e)
        # p (1 - p) or delta², summed over the classes, times s².
        norms = others * (chosen + total) - squares if self.expected else others**2 + squares
        members = (codes[None, :] == np.arange(self.groups)[:, None]).astype(x.dtype)
        scale = weights / (total * total)
        xx = x * x
        if not self.diagonal:
            return FisherSums((members * (norms * scale)) @ xx, None, kronecker)
        xx *= scale[:, None]
        if self.expected:
            e *= total[:, None] - e
            e[one] = chosen * others
        else:
            e *= e
            e[one] = others * others
        edges = np.searchsorted(codes, np.arange(self.groups + 1))
        full = np.empty((self.groups, *self.weight.shape), dtype=x.dtype)
        for group, (start, end) in enumerate(pairwise(edges)):
            np.matmul(xx[start:end].T, e[start:end], out=full[group])
        return FisherSums((members * norms) @ xx, full, kronecker)


def summed(rows: Rows, form: ClosedForm) -> FisherSums:
    """The sums over all rows, read once, in float64; as many threads as BLAS would use.

    The chunks are the same and are added in their order, whatever the number of threads.

    Args:
        rows: features (N, d) of any float dtype, labels and groups.
        form: in float64; chunks are computed in float32 where the features have no more digits,
            unless the Kronecker factors are asked for, whose null spaces need float64.

    Raises:
        InputError: a feature is not finite, or overflows float64 when squared.
    """  # noqa: DOC502
    d, k = form.weight.shape
    wide = form.kronecker or d <= DOUBLE_WIDTH or not np.can_cast(rows.features.dtype, np.float32)
    quick = form if wide else form.in_dtype(np.float32)
    codes = rows.groups.codes
    weights = None if rows.weights is None else rows.weights.values

    def chunk(part: slice) -> FisherSums:
        given = rows.features[part], rows.labels[part], codes[part]
        more: dict[str, Any] = {} if weights is None else {"weights": weights[part]}
        sums = quick(*given, **more)
        if sums is None and not wide:
            sums = form(*given, **more)
        if sums is None:
            raise InputError(
                f"the logits or squares of the features in rows {part.start} to {part.stop} "
                "overflow float64; scale the features"
            )
        return sums

    total = form.zeros()
    with _threads(len(rows) * d * k) as threads:
        parts = _parts(len(rows), quick)
        for sums in _in_order(chunk, parts, threads):
            total.rows[...] += sums.rows
            if total.diagonal is not None:
                total.diagonal[...] += sums.diagonal
            for mine, more in zip(total.kronecker or (), sums.kronecker or (), strict=True):
                mine[...] += more
    return total


def _parts(rows: int, form: ClosedForm) -> list[slice]:
    """Equal chunks that stay in cache, the same for any number of threads.

    From five on their number is a multiple of eight, so that two, four or eight threads have as
    many chunks each.
    """
    d, k = form.weight.shape
    row_bytes = (2 * d + k) * form.weight.itemsize
    bytes_each = min(max(CHUNK_BYTES, CHUNK_ROWS * row_bytes), 4 * CHUNK_BYTES)
    number = -(-rows * row_bytes // bytes_each)
    number = min(rows, number if number < 5 else 8 * round(number / 8))
    edges = np.linspace(0, rows, number + 1).round().astype(np.int64)
    return [slice(int(at), int(end)) for at, end in pairwise(edges)]


def _in_order(make: Callable[[slice], Made], parts: list[slice], threads: int) -> Iterator[Made]:
    """``make(part)`` for each part, in order, computed a few parts ahead of the reader."""
    if threads < 2 or len(parts) < 2:
        yield from map(make, parts)
        return
    with ThreadPoolExecutor(threads) as pool:
        coming: deque[Any] = deque()
        try:
            for part in parts:
                coming.append(pool.submit(make, part))
                if len(coming) > threads:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for one in coming:
                one.cancel()


@contextmanager
def _threads(work: int) -> Iterator[int]:
    """How many threads to use; BLAS runs on one in each, and its setting is restored afterwards."""
    if work < SMALL:
        yield 1
        return
    blas = ThreadpoolController().select(user_api="blas")
    threads = max((library["num_threads"] for library in blas.info()), default=1)
    with blas.limit(limits=1):
        yield threads


def _refuse_unless_finite(features: Array) -> None:
    bad = int((~np.isfinite(features)).any(axis=1).sum())
    if bad:
        raise InputError(f"features hold NaN or infinity in {bad} rows; remove or impute them")
