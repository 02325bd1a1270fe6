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
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from evenhand._base.arrays import Float64
from evenhand.errors import InputError
from evenhand.heads.streaming.device_copy import copied
from evenhand.heads.streaming.row_arrays import RowArrays
from evenhand.heads.streaming.sums import Sums

TEMPORARY_BYTES = 64 << 20
"""Of each temporary of a chunk, about ten of which are held at a time."""


MIN_CHUNK, MAX_CHUNK = 1 << 10, 1 << 16
"""Rows of a chunk; of more, the sums of products lose digits."""


KEPT_BYTES = 1 << 30
"""Of the logits kept from one pass to the next, at most; more are computed twice."""


FEW_ATOMS = 64
"""Up to so many atomic cells a product with their members is faster than adding row by row."""


BESIDE_BYTES = 16 * TEMPORARY_BYTES + KEPT_BYTES
"""What passes need on the device beside the features and a few numbers a row."""


class OnDevice:
    """An :class:`~evenhand.heads.streaming.engine.Engine` for rows whose features lie on a device.

    Args:
        rows: what is passed over.
        features: (N, d) its features, in whose device all is computed.
    """

    def __init__(self, rows: RowArrays, features: Tensor) -> None:
        self.rows, self.features, self.device = rows, features, features.device
        self.dtype = torch.float64 if rows.dtype == np.float64 else torch.float32
        self.labels, self.atoms = self._whole(rows.labels), self._whole(rows.atoms)
        self.folds = None if rows.folds is None else self._whole(rows.folds)
        self.weights = None if rows.weights is None else self._real(rows.weights)
        self.masses = None if rows.masses is None else self._real(rows.masses)
        self._last: _Heads | None = None

    @property
    def rereads(self) -> bool:
        """The features are at hand."""
        return True

    def over(self, rows: RowArrays) -> OnDevice:
        """The same for other rows, whose features are copied there."""
        return OnDevice(rows, copied(rows.features, rows.dtype, self.device))

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
        self._last = passing = _Heads(self, heads, folds)
        columns, m, wide = heads.shape
        number = self.rows.number
        passing.keeps = not whole and passing.bytes_of_logits <= KEPT_BYTES
        loss = self._zeros(columns)
        soft = {beta: self._zeros(number, columns, m) for beta in betas}
        slope = self._zeros(*heads.shape) if whole else self._zeros(0)
        lean = {beta: self._zeros(number, columns, wide) for beta in (betas if whole else ())}
        with self._computing():
            for number_of, span in enumerate(self._spans(columns * m, bool(lean))):
                chunk = _Chunk(passing, number_of, span)
                losses, delta = chunk.log_loss()
                loss += losses
                if whole:
                    chunk.add_back(delta, slope)
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
        shares = self._real(share)[:, None, None]
        by_atom = {beta: self._real(values) for beta, values in slopes.items()}
        total = self._zeros(*passing.shape)
        with self._computing():
            for number, span in enumerate(self._spans(passing.columns, False)):
                chunk = _Chunk(passing, number, span)
                slope = chunk.log_loss()[1]
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
            raise InputError(
                f"{self.device} has no memory left for a pass over {len(self.rows):,} rows, whose "
                f"{self.features.nbytes / 1e9:.1f} GB of features it holds: free some (what else "
                "runs there?), or give the device cpu"
            ) from error

    def _spans(self, columns: int, leaning: bool) -> Iterator[slice]:
        """Rows whose temporaries stay within their bytes, with ``columns`` logits each."""
        number = self.rows.number
        widest = columns * (number + 1) if leaning else max(columns, 2 * min(number, FEW_ATOMS))
        if self.features.dtype != self.dtype:
            widest = max(widest, self.rows.width)
        step = TEMPORARY_BYTES // (widest * self.rows.dtype.itemsize)
        step = int(np.clip(step, MIN_CHUNK, MAX_CHUNK))
        for start in range(0, len(self.rows), step):
            yield slice(start, min(start + step, len(self.rows)))

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self.device)

    def _whole(self, values: npt.NDArray[Any]) -> Tensor:
        return torch.as_tensor(np.array(values, dtype=np.int64)).to(self.device)

    def _real(self, values: npt.NDArray[Any]) -> Tensor:
        return torch.as_tensor(np.array(values, dtype=self.rows.dtype)).to(self.device)


class _Heads:
    """Heads on their way over the rows, and their logits where a second way is to come."""

    def __init__(self, engine: OnDevice, heads: Float64, folds: Sequence[int]) -> None:
        self.engine, self.shape = engine, heads.shape
        flat = engine._real(heads.reshape(-1, heads.shape[2]))
        self.weight, self.bias = flat[:, :-1].contiguous(), flat[:, -1:].contiguous()
        self.left_out: Tensor | None = None
        if engine.folds is not None and max(folds, default=-1) >= 0:
            self.left_out = engine._whole(np.asarray(folds))[:, None]
        self.keeps = self.kept = False
        self._logits: list[Tensor] = []

    @property
    def columns(self) -> int:
        """Logits of a row."""
        return len(self.weight)

    @property
    def bytes_of_logits(self) -> int:
        """Of all rows' logits."""
        return self.columns * len(self.engine.rows) * self.engine.rows.dtype.itemsize

    def logits(self, number: int, x: Tensor) -> Tensor:
        """(C, m, n) of the rows ``x``, which are those of chunk ``number``."""
        if self.kept:
            return self._logits[number]
        logits = torch.addmm(self.bias, self.weight, x.T).view(*self.shape[:2], len(x))
        if self.keeps:
            self._logits.append(logits)
        return logits


class _Chunk:
    """Some rows, the heads' logits on them, and which rows count for which head."""

    def __init__(self, passing: _Heads, number: int, span: slice) -> None:
        engine = passing.engine
        self.number = engine.rows.number
        self.x = engine.features[span].to(engine.dtype)
        self.labels, self.atoms = engine.labels[span], engine.atoms[span]
        self.z = passing.logits(number, self.x)
        self.weights = None if engine.weights is None else engine.weights[span]
        self.counts: Tensor | None = None
        if passing.left_out is not None and engine.folds is not None:
            inside = engine.folds[span] != passing.left_out
            self.counts = inside.to(engine.dtype)[:, None]
        if engine.masses is not None:
            masses = engine.masses[span]
            self.counts = masses if self.counts is None else self.counts * masses

    def log_loss(self) -> tuple[Tensor, Tensor]:
        """(C,) the sums of the log-loss, and (C, m, n) its slopes."""
        m = self.z.shape[1]
        if m == 1:
            signs = (2 * self.labels - 1).to(self.z.dtype)
            margin = self.z * signs
            losses = -functional.logsigmoid(margin)
            delta = torch.sigmoid(-margin) * -signs
        else:
            log_p = functional.log_softmax(self.z, dim=1)
            own = self.labels == torch.arange(m, device=self.z.device)[:, None]
            losses = -torch.where(own, log_p, 0.0).sum(dim=1, keepdim=True)
            delta = log_p.exp() - own.to(self.z.dtype)
        for factor in (self.weights, self.counts):
            if factor is not None:
                losses = losses * factor
                delta = delta * factor
        return losses.sum(dim=(1, 2), dtype=torch.float64), delta

    def add_back(self, slope: Tensor, total: Tensor) -> None:
        """Add to (C, m, d + 1) the gradient in the weights of slopes (C, m, n) at the logits."""
        flat = slope.reshape(-1, slope.shape[2])
        total[:, :, :-1] += (flat @ self.x).view(*slope.shape[:2], -1)
        total[:, :, -1] += slope.sum(dim=2, dtype=torch.float64)

    def soft(self, beta: float) -> Tensor:
        """(C, m, n) soft decisions."""
        z = beta * self.z
        return torch.sigmoid(z) if z.shape[1] == 1 else functional.softmax(z, dim=1)

    def add_soft(self, beta: float, sums: Tensor, lean: Tensor | None) -> None:
        """Add the atomic cells' sums of soft decisions, and their derivative where asked for."""
        p = self.soft(beta)
        counted = p if self.counts is None else p * self.counts
        sums += self._by_atom(counted.reshape(-1, p.shape[2])).view(sums.shape)
        if lean is None:
            return
        steep = (beta * counted * (1 - p))[:, 0]
        of_atom = self._members(steep.dtype)[:, None] * steep  # (A, C, n)
        lean[:, :, :-1] += (of_atom.reshape(-1, len(self.x)) @ self.x).view(*lean.shape[:2], -1)
        lean[:, :, -1] += of_atom.sum(dim=2, dtype=torch.float64)

    def spread(self, beta: float, by_atom: Tensor) -> Tensor:
        """(C, m, n) slopes at the logits, of slopes (A, C, m) at the atomic cells' soft sums."""
        padded = functional.pad(by_atom.movedim(0, 2), (0, 1))
        by_row = padded.index_select(2, self.atoms)
        p = self.soft(beta)
        spread = beta * p * (by_row - (p * by_row).sum(dim=1, keepdim=True))
        return spread if self.counts is None else spread * self.counts

    def _by_atom(self, values: Tensor) -> Tensor:
        """(A, C m) the sums of (C m, n) values over each atomic cell."""
        if self.number <= FEW_ATOMS:
            return self._members(torch.float64) @ values.T.double()
        shape = self.number + 1, len(values)
        sums = torch.zeros(shape, dtype=torch.float64, device=values.device)
        return sums.index_add_(0, self.atoms, values.T.double())[:-1]

    def _members(self, dtype: torch.dtype) -> Tensor:
        """(A, n) 1 where a row is in the atomic cell."""
        every = torch.arange(self.number, device=self.atoms.device)
        return (self.atoms == every[:, None]).to(dtype)


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
