"""Some rows in memory: many heads' logits on them, and what follows from the logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64, FloatArray
from evenhand.heads.logits import sigmoid, softmax
from evenhand.heads.streaming.row_arrays import RowArrays


class HeadLogits:
    """Heads on their way over the rows, and their logits where a second way is to come."""

    def __init__(self, rows: RowArrays, heads: Float64, folds: Sequence[int]) -> None:
        self.rows, self.shape = rows, heads.shape
        flat = heads.reshape(-1, heads.shape[2])
        self.weight = np.ascontiguousarray(flat[:, :-1], dtype=rows.dtype)
        self.bias = flat[:, -1:].astype(rows.dtype)
        self.left_out = np.asarray(folds)
        self.masked = rows.folds is not None and bool((self.left_out >= 0).any())
        self.kept = False
        self._logits: FloatArray | None = None

    def keep(self, rows: int) -> None:
        """Keep the logits of all rows, as they are computed."""
        self._logits = np.empty((len(self.weight), rows), dtype=self.weight.dtype)

    def complete(self) -> None:
        """All rows were passed over: logits that are kept are there."""
        self.kept = self._logits is not None

    def logits(self, x: FloatArray, span: slice) -> FloatArray:
        """(C m, n) the heads' logits on the rows ``x``, which are those of ``span``."""
        if self.kept and self._logits is not None:
            return self._logits[:, span]
        logits: FloatArray = self.weight @ x.T
        logits += self.bias
        if self._logits is not None:
            self._logits[:, span] = logits
        return logits


class Chunk:
    """Some rows in memory, the heads' logits on them, and which rows count for which head."""

    def __init__(self, passing: HeadLogits, span: slice, by_cell: bool) -> None:
        rows = passing.rows
        x, labels, atoms = rows.features[span], rows.labels[span], rows.atoms[span]
        folds = rows.folds[span] if passing.masked and rows.folds is not None else None
        weights = None if rows.weights is None else rows.weights[span]
        masses = None if rows.masses is None else rows.masses[span]
        self.number = rows.number
        self.edges: npt.NDArray[np.int64] | None = None
        if by_cell:
            order = np.argsort(atoms, kind="stable")
            x = np.take(x, order, axis=0)  # other threads may work meanwhile; x[order] bars them
            labels, atoms = labels[order], atoms[order]
            folds = None if folds is None else folds[order]
            weights = None if weights is None else weights[order]
            masses = None if masses is None else masses[order]
            self.edges = np.searchsorted(atoms, np.arange(rows.number + 1))
        self.x: FloatArray = np.asarray(x, dtype=rows.dtype)
        self.labels, self.atoms = labels, atoms
        heads, m, _ = passing.shape
        self.z: FloatArray = passing.logits(self.x, span).reshape(heads, m, len(labels))
        self.weights: FloatArray | None = None if weights is None else weights.astype(rows.dtype)
        self.counts: npt.NDArray[Any] | None = None
        if folds is not None:
            self.counts = (folds != passing.left_out[:, None])[:, None]
        if masses is not None:
            of_row = masses.astype(rows.dtype)[None, None]
            self.counts = of_row if self.counts is None else self.counts * of_row

    def log_loss(self) -> tuple[Float64, FloatArray]:
        """(C,) the sums of the log-loss, and (C, m, n) its slopes."""
        if self.z.shape[1] == 1:
            positive = self.labels.astype(self.z.dtype)
            delta, losses = sigmoid(self.z), np.log1p(np.exp(-np.abs(self.z)))
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

    def add_back(self, slope: FloatArray, total: Float64) -> None:
        """Add to (C, m, d + 1) the gradient in the weights of slopes (C, m, n) at the logits."""
        flat = slope.reshape(-1, slope.shape[2])
        total[:, :, :-1] += (flat @ self.x).reshape(*slope.shape[:2], -1)
        total[:, :, -1] += slope.sum(axis=2, dtype=np.float64)

    def soft(self, beta: float) -> FloatArray:
        """(C, m, n) soft decisions."""
        if self.z.shape[1] == 1:
            return sigmoid(beta * self.z)
        return softmax(beta * self.z)

    def add_soft(self, beta: float, sums: Float64, lean: Float64 | None) -> None:
        """Add the atomic cells' sums of soft decisions, and their derivative where asked for."""
        p = self.soft(beta)
        steep = None if lean is None else (beta * p * (1 - p))[:, 0]
        if self.counts is not None:
            p *= self.counts
            if steep is not None:
                steep *= self.counts[:, 0]
        if self.edges is None:
            for number, column in enumerate(p.reshape(-1, p.shape[2])):
                by_atom = np.bincount(self.atoms, column, self.number + 1)[:-1]
                sums.reshape(self.number, -1)[:, number] += by_atom
            return
        for atom in np.flatnonzero(np.diff(self.edges)):
            rows = slice(int(self.edges[atom]), int(self.edges[atom + 1]))
            sums[atom] += p[:, :, rows].sum(axis=2, dtype=np.float64)
            if steep is not None and lean is not None:
                lean[atom, :, :-1] += steep[:, rows] @ self.x[rows]
                lean[atom, :, -1] += steep[:, rows].sum(axis=1, dtype=np.float64)

    def spread(self, slopes: dict[float, Float64]) -> FloatArray:
        """(C, m, n) slopes at the logits, of slopes (A, C, m) at the atomic cells' soft sums."""
        total: FloatArray = np.zeros_like(self.z)
        for beta, by_atom in slopes.items():
            padded = np.concatenate([by_atom, np.zeros((1, *by_atom.shape[1:]))])
            by_row = np.moveaxis(padded.astype(self.z.dtype)[self.atoms], 0, 2)
            p = self.soft(beta)
            total += beta * p * (by_row - (p * by_row).sum(axis=1, keepdims=True))
        if self.counts is not None:
            total *= self.counts
        return total
