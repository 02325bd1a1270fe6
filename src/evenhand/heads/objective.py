"""The training objective at the logits: mean log-loss + strength × soft gaps, with its gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64, FloatArray, IntArray
from evenhand.heads.gaps import GapTerm, penalty_of_means
from evenhand.heads.logits import sigmoid, softmax


class Objective:
    """Value and gradient of the objective with respect to the logits of all rows.

    Two classes may be given one logit a row, the log-odds of the positive class (N, 1), or two;
    K classes are given K.

    Args:
        labels: (N,) integers in [0, K).
        terms: the gap penalties.
        weights: (N,) weights of the rows in the log-loss, mean 1; None for equal ones.
        dtype: of the logits.
    """

    def __init__(
        self,
        labels: IntArray,
        terms: Sequence[GapTerm] = (),
        *,
        weights: np.ndarray | None = None,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        self.labels = np.asarray(labels)
        self.signs: FloatArray = (2 * self.labels - 1).astype(dtype)[:, None]
        self.weights = None if weights is None else np.asarray(weights, dtype=dtype)[:, None]
        self.terms = [(term, _Cells(term, dtype)) for term in terms if term.active]

    def __call__(self, logits: FloatArray, strength: float) -> tuple[float, FloatArray]:
        """The objective at ``logits`` (N, 1) or (N, K), and its gradient of the same shape."""
        value, gradient = self._log_loss(logits)
        if strength:
            for term, cells in self.terms:
                penalty, slope = self._penalty(logits, term, cells)
                value += strength * penalty
                slope *= strength
                gradient += slope
        return value, gradient

    def _log_loss(self, logits: FloatArray) -> tuple[float, FloatArray]:
        losses, delta = self._by_row(logits)
        if self.weights is not None:
            losses *= self.weights
            delta *= self.weights
        delta /= len(logits)
        return float(losses.mean(dtype=np.float64)), delta

    def _by_row(self, logits: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, 1) the log-loss of each row, and its slope in the row's logits."""
        delta: FloatArray
        if logits.shape[1] == 1:
            # With m the log-odds of a row's own label the loss is log(1 + e⁻ᵐ), and its slope
            # -1 / (1 + eᵐ): both of e = exp(-|m|), which never overflows.
            margin = self.signs * logits
            e = np.exp(-np.abs(margin))
            losses = np.log1p(e) - np.minimum(margin, 0)
            delta = np.maximum(e, margin < 0) / (1 + e)
            delta *= -self.signs
            return losses, delta
        own = np.arange(len(logits)), self.labels
        highest = logits.max(axis=1, keepdims=True)
        delta = np.exp(logits - highest)
        total = delta.sum(axis=1, keepdims=True)
        losses = np.log(total) + highest - logits[own][:, None]
        delta /= total
        delta[own] -= 1
        return losses, delta

    @staticmethod
    def _penalty(logits: FloatArray, term: GapTerm, cells: _Cells) -> tuple[float, FloatArray]:
        outputs = logits.shape[1]
        p = sigmoid(term.beta * logits) if outputs == 1 else softmax(term.beta * logits)
        means = cells.means(p)
        binary = outputs == 2
        value, slope = penalty_of_means(term, means[:, 1:] if binary else means)
        if binary:
            slope = np.hstack([np.zeros_like(slope), slope])
        by_row = cells.by_row(slope.astype(logits.dtype))
        steep = 1 - p if outputs == 1 else by_row - (p * by_row).sum(axis=1, keepdims=True)
        steep *= term.beta * p
        if outputs == 1:
            steep *= by_row
        return value, steep


FEW_CELLS = 16
"""Up to so many cells a product with their members is faster than adding row by row."""


class _Cells:
    """The cells of a penalty: means over their rows, and the way back."""

    def __init__(self, term: GapTerm, dtype: npt.DTypeLike) -> None:
        self.cell, self.number = np.asarray(term.cell), len(term.sizes)
        self.sizes: FloatArray = np.asarray(term.sizes, dtype=dtype)[:, None]
        self.weights: FloatArray | None = None
        if term.weights is not None:
            self.weights = np.asarray(term.weights, dtype=dtype)[:, None]
        self.members: FloatArray | None = None
        if self.number <= FEW_CELLS:
            every = np.arange(self.number)[:, None]
            self.members = (self.cell[None] == every).astype(dtype) / self.sizes
            if self.weights is not None:
                self.members *= self.weights.T

    def means(self, values: FloatArray) -> Float64:
        """(C, m) the mean of (N, m) values over each cell."""
        if self.members is not None:
            return (self.members @ values).astype(np.float64)
        weighed = values if self.weights is None else values * self.weights
        sums = [np.bincount(self.cell, column, self.number + 1)[:-1] for column in weighed.T]
        return np.stack(sums, axis=1) / self.sizes

    def by_row(self, slope: FloatArray) -> FloatArray:
        """(N, m) each row's share of the (C, m) gradient in its cell's means; 0 in no cell."""
        by_row: FloatArray
        if self.members is not None:
            by_row = self.members.T @ slope
            return by_row
        by_cell = np.concatenate([slope / self.sizes, np.zeros_like(slope[:1])])
        by_row = by_cell[self.cell]
        return by_row if self.weights is None else by_row * self.weights
