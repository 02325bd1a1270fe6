"""Passes on a device of torch's, such as a GPU, that holds the features.

What :mod:`evenhand.heads.streaming.chunk` computes on the processor, as products and element-wise
operations on tensors: the logits of all heads are one product with the features, the gradient
another. A pass sends the heads, and brings back its sums at the end, in one transfer; the steps
between passes are taken on the processor, by vectors as long as a head.

Products are of the rows' ``dtype`` (never TF32); sums across chunks are float64, and so are those
of soft decisions and losses within a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenhand._base.arrays import Float64, FloatArray
from evenhand.errors import InputError
from evenhand.heads.streaming.device_chunk import FEW_ATOMS, ChunkThere, HeadsThere, RowTensors
from evenhand.heads.streaming.device_copy import copied
from evenhand.heads.streaming.row_arrays import RowArrays
from evenhand.heads.streaming.sample import SAMPLE_BYTES
from evenhand.heads.streaming.sums import Sums

TEMPORARY_BYTES = 64 << 20
"""Of each temporary of a chunk, about ten of which are held at a time."""


MIN_CHUNK, MAX_CHUNK = 1 << 10, 1 << 16
"""Rows of a chunk; of more, the sums of products lose digits."""


KEPT_BYTES = 1 << 30
"""Of the logits kept from one pass to the next, at most; more are computed twice."""


BESIDE_BYTES = 16 * TEMPORARY_BYTES + KEPT_BYTES + 3 * SAMPLE_BYTES
"""What fits need on the device beside the features and a few numbers a row: a pass, the logits that
are kept, and the sample, which is there twice more while it preconditions a fit."""


class OnDevice:
    """An :class:`~evenhand.heads.streaming.engine.Engine` for rows whose features lie on a device.

    Args:
        rows: what is passed over.
        features: (N, d) its features, in whose device all is computed.
    """

    def __init__(self, rows: RowArrays, features: Tensor) -> None:
        self.rows, self.device = rows, features.device
        self.tensors = RowTensors(rows, features)
        self._last: HeadsThere | None = None

    @property
    def rereads(self) -> bool:
        """The features are at hand."""
        return True

    def over(self, rows: RowArrays) -> OnDevice:
        """The same for other rows, whose features are copied there."""
        return OnDevice(rows, copied(rows.features, rows.dtype, self.device))

    def product(self, one: FloatArray, other: FloatArray) -> FloatArray:
        """(d, e) of (N, d), transposed, with (N, e)."""
        with self._computing():
            there = torch.as_tensor(np.array(one)).to(self.device)
            beside = there if other is one else torch.as_tensor(np.array(other)).to(self.device)
            found: FloatArray = (there.T @ beside).cpu().numpy()
        return found

    def sums(
        self, heads: Float64, folds: Sequence[int], betas: Sequence[float], *, whole: bool
    ) -> Sums:
        """One pass: what a fit needs of heads (C, m, d + 1)."""
        found = Sums.nothing(heads.shape, self.rows.number, betas, whole=whole)
        received = _received(self.totals(heads, folds, betas, whole=whole))
        for array, values in zip(found.arrays(), received, strict=True):
            array[...] = values
        return found

    def gradient(self, share: Float64, slopes: dict[float, Float64]) -> Float64:
        """(C, m, d + 1) the gradient of the objectives of the heads last summed.

        Raises:
            RuntimeError: :meth:`sums` has not been called.
        """  # noqa: DOC502
        return _received([self.pulled(share, slopes)])[0]

    def totals(
        self, heads: Float64, folds: Sequence[int], betas: Sequence[float], *, whole: bool
    ) -> list[Tensor]:
        """What :meth:`sums` gives, in the order of :meth:`Sums.arrays`, still on the device."""
        self._last = passing = HeadsThere(self.tensors, heads, folds)
        columns, m, wide = heads.shape
        number = self.rows.number
        passing.keeps = not whole and passing.bytes_of_logits <= KEPT_BYTES
        loss = self._zeros(columns)
        soft = {beta: self._zeros(number, columns, m) for beta in betas}
        slope = self._zeros(*heads.shape) if whole else self._zeros(0)
        lean = {beta: self._zeros(number, columns, wide) for beta in (betas if whole else ())}
        with self._computing():
            for number_of, span in enumerate(self._spans(columns * m, bool(lean))):
                chunk = ChunkThere(passing, number_of, span)
                loss += chunk.log_loss()
                if whole:
                    chunk.add_back(chunk.slopes(), slope)
                for beta in betas:
                    chunk.add_soft(beta, soft[beta], lean.get(beta))
        passing.kept = passing.keeps
        return [loss, *soft.values(), slope, *lean.values()]

    def pulled(self, share: Float64, slopes: dict[float, Float64]) -> Tensor:
        """What :meth:`gradient` gives, still on the device.

        Raises:
            RuntimeError: :meth:`sums` has not been called.
        """
        passing = self._last
        if passing is None:
            raise RuntimeError("gradient follows sums")
        shares = self.tensors.real(share)[:, None, None]
        by_atom = {beta: self.tensors.real(values) for beta, values in slopes.items()}
        total = self._zeros(*passing.shape)
        with self._computing():
            for number, span in enumerate(self._spans(passing.columns, False)):
                chunk = ChunkThere(passing, number, span)
                slope = chunk.slopes()
                slope *= shares
                for beta, values in by_atom.items():
                    slope += chunk.spread(beta, values)
                chunk.add_back(slope, total)
        return total

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """A pass: in full precision, and what to do is told where others took the memory.

        Raises:
            InputError: the device has no room for it.
        """
        try:
            with exact_products(self.device):
                yield
        except torch.OutOfMemoryError as error:
            held = self.tensors.features.nbytes / 1e9
            raise InputError(
                f"{self.device} has no memory left for a pass over {len(self.rows):,} rows, whose "
                f"features it holds ({held:.1f} GB): free what else is there, or give device cpu"
            ) from error

    def _spans(self, columns: int, leaning: bool) -> Iterator[slice]:
        """Rows whose temporaries stay within their bytes, with ``columns`` logits each."""
        number = self.rows.number
        widest = columns * (number + 1) if leaning else max(columns, 2 * min(number, FEW_ATOMS))
        if self.tensors.features.dtype != self.tensors.dtype:
            widest = max(widest, self.rows.width)
        step = TEMPORARY_BYTES // (widest * self.rows.dtype.itemsize)
        step = int(np.clip(step, MIN_CHUNK, MAX_CHUNK))
        for start in range(0, len(self.rows), step):
            yield slice(start, min(start + step, len(self.rows)))

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self.device)


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Products in full precision, whatever this program takes for others; as before afterwards."""
    matmul: Any = torch.backends.cuda.matmul
    name: str = "allow_tf32"
    exact: Any = False
    if hasattr(matmul, "fp32_precision"):  # torch 2.9's; the older name fails beside it
        name, exact = "fp32_precision", "ieee"
    before = getattr(matmul, name)
    loose = before not in (exact, "none")
    if loose:
        setattr(matmul, name, exact)
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        if loose:
            setattr(matmul, name, before)


def _received(tensors: Sequence[Tensor]) -> list[Float64]:
    """Tensors of a device as arrays, in one transfer."""
    flat: Float64 = torch.cat([one.reshape(-1) for one in tensors]).cpu().numpy()
    ends = np.cumsum([one.numel() for one in tensors])
    parts = np.split(flat, ends[:-1])
    return [part.reshape(one.shape) for part, one in zip(parts, tensors, strict=True)]
