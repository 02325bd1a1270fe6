"""Some rows on a device: many heads' logits on them, and what follows from the logits.

The same as :mod:`evenhand.heads.streaming.chunk`, in tensors. Sums of soft decisions and of losses
are float64 within a chunk too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from evenhand._base.arrays import Float64
from evenhand.heads.streaming.row_arrays import RowArrays

FEW_ATOMS = 64
"""Up to so many atomic cells a product with their members is faster than adding row by row."""


class RowTensors:
    """What is passed over, on the device of its features (N, d)."""

    def __init__(self, rows: RowArrays, features: Tensor) -> None:
        self.features, self.number = features, rows.number
        self.dtype = torch.float64 if rows.dtype == np.float64 else torch.float32
        self.labels, self.atoms = self.whole(rows.labels), self.whole(rows.atoms)
        self.folds = None if rows.folds is None else self.whole(rows.folds)
        self.weights = None if rows.weights is None else self.real(rows.weights)
        self.masses = None if rows.masses is None else self.real(rows.masses)

    def whole(self, values: npt.NDArray[Any]) -> Tensor:
        """Whole numbers there."""
        return torch.as_tensor(np.array(values, dtype=np.int64)).to(self.features.device)

    def real(self, values: npt.NDArray[Any]) -> Tensor:
        """Numbers there, as products take them."""
        own = np.float64 if self.dtype == torch.float64 else np.float32
        return torch.as_tensor(np.array(values, dtype=own)).to(self.features.device)


class HeadsThere:
    """Heads on their way over the rows, and their logits where a second way is to come."""

    def __init__(self, rows: RowTensors, heads: Float64, folds: Sequence[int]) -> None:
        self.rows, self.shape = rows, heads.shape
        flat = rows.real(heads.reshape(-1, heads.shape[2]))
        self.weight, self.bias = flat[:, :-1].contiguous(), flat[:, -1:].contiguous()
        self.left_out: Tensor | None = None
        if rows.folds is not None and max(folds, default=-1) >= 0:
            self.left_out = rows.whole(np.asarray(folds))[:, None]
        self.keeps = self.kept = False
        self._logits: list[Tensor] = []

    @property
    def columns(self) -> int:
        """Logits of a row."""
        return len(self.weight)

    @property
    def bytes_of_logits(self) -> int:
        """Of all rows' logits."""
        return self.columns * len(self.rows.labels) * self.rows.dtype.itemsize

    def logits(self, number: int, x: Tensor) -> Tensor:
        """(C, m, n) of the rows ``x``, which are those of chunk ``number``."""
        if self.kept:
            return self._logits[number]
        logits = torch.addmm(self.bias, self.weight, x.T).view(*self.shape[:2], len(x))
        if self.keeps:
            self._logits.append(logits)
        return logits


class ChunkThere:
    """Some rows, the heads' logits on them, and which rows count for which head."""

    def __init__(self, passing: HeadsThere, number: int, span: slice) -> None:
        rows = passing.rows
        self.number = rows.number
        self.x = rows.features[span].to(rows.dtype)
        self.labels, self.atoms = rows.labels[span], rows.atoms[span]
        self.z = passing.logits(number, self.x)
        self.weights = None if rows.weights is None else rows.weights[span]
        self.counts: Tensor | None = None
        if passing.left_out is not None and rows.folds is not None:
            inside = rows.folds[span] != passing.left_out
            self.counts = inside.to(rows.dtype)[:, None]
        if rows.masses is not None:
            masses = rows.masses[span]
            self.counts = masses if self.counts is None else self.counts * masses

    def log_loss(self) -> Tensor:
        """(C,) the sums of the log-loss, rounded as the processor's are."""
        if self.z.shape[1] == 1:
            losses = self.z.abs().neg_().exp_().log1p_()
            losses += self.z.clamp(min=0)
            losses -= self.labels.to(self.z.dtype) * self.z
        else:
            highest = self.z.amax(dim=1, keepdim=True)
            losses = (self.z - highest).exp_().sum(dim=1, keepdim=True).log_()
            losses += highest
            losses -= self.z.gather(1, self.labels.expand(len(self.z), 1, -1))
        return self._counted(losses).sum(dim=(1, 2), dtype=torch.float64)

    def slopes(self) -> Tensor:
        """(C, m, n) of the log-loss at the logits."""
        m = self.z.shape[1]
        if m == 1:
            return self._counted(torch.sigmoid(self.z).sub_(self.labels.to(self.z.dtype)))
        own = self.labels == torch.arange(m, device=self.z.device)[:, None]
        return self._counted(functional.softmax(self.z, dim=1).sub_(own.to(self.z.dtype)))

    def _counted(self, values: Tensor) -> Tensor:
        """(C, m or 1, n) values, each as much as its row counts in the log-loss."""
        for factor in (self.weights, self.counts):
            if factor is not None:
                values *= factor
        return values

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
