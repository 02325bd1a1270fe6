"""The training objective at the logits: mean log-loss + strength × soft gaps, with its gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from evenhand._base.arrays import IntArray
from evenhand.heads.gaps import GapTerm, penalty_of_means


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
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.labels = torch.as_tensor(labels)
        self.signs = (2 * self.labels - 1).to(dtype)[:, None]
        self.weights = None if weights is None else torch.as_tensor(weights, dtype=dtype)[:, None]
        self.terms = [(term, _Cells(term, dtype)) for term in terms if term.active]

    def __call__(self, logits: Tensor, strength: float) -> tuple[float, Tensor]:
        """The objective at ``logits`` (N, 1) or (N, K), and its gradient of the same shape."""
        value, gradient = self._log_loss(logits)
        if strength:
            for term, cells in self.terms:
                penalty, slope = self._penalty(logits, term, cells)
                value += strength * penalty
                gradient += strength * slope
        return value, gradient

    def _log_loss(self, logits: Tensor) -> tuple[float, Tensor]:
        n = len(logits)
        if logits.shape[1] == 1:
            # -log sigmoid(±z) is softplus(z) - yz, and its exponential the sigmoid of the slope
            log_p = torch.nn.functional.logsigmoid(self.signs * logits)
            losses, delta = -log_p, self.signs * torch.expm1(log_p)
        else:
            log_p = torch.log_softmax(logits, dim=1)
            losses = -log_p.gather(1, self.labels[:, None])
            delta = log_p.exp()
            delta[torch.arange(n), self.labels] -= 1
        if self.weights is not None:
            losses, delta = losses * self.weights, delta * self.weights
        return float(losses.mean()), delta / n

    @staticmethod
    def _penalty(logits: Tensor, term: GapTerm, cells: _Cells) -> tuple[float, Tensor]:
        outputs = logits.shape[1]
        p = (
            torch.sigmoid(term.beta * logits)
            if outputs == 1
            else torch.softmax(term.beta * logits, dim=1)
        )
        means = cells.means(p).double().numpy()
        binary = outputs == 2
        value, slope = penalty_of_means(term, means[:, 1:] if binary else means)
        if binary:
            slope = np.hstack([np.zeros_like(slope), slope])
        by_row = cells.by_row(torch.as_tensor(slope, dtype=logits.dtype))
        if outputs == 1:
            return value, term.beta * p * (1 - p) * by_row
        return value, term.beta * p * (by_row - (p * by_row).sum(dim=1, keepdim=True))


FEW_CELLS = 16
"""Up to so many cells a product with their members is faster than adding row by row."""


class _Cells:
    """The cells of a penalty: means over their rows, and the way back."""

    def __init__(self, term: GapTerm, dtype: torch.dtype) -> None:
        self.cell = torch.as_tensor(term.cell)
        self.sizes = torch.as_tensor(term.sizes, dtype=dtype)[:, None]
        self.weights: Tensor | None = None
        if term.weights is not None:
            self.weights = torch.as_tensor(term.weights, dtype=dtype)[:, None]
        self.members: Tensor | None = None
        if len(self.sizes) <= FEW_CELLS:
            every = torch.arange(len(self.sizes))[:, None]
            self.members = (self.cell[None] == every).to(dtype) / self.sizes
            if self.weights is not None:
                self.members *= self.weights.T

    def means(self, values: Tensor) -> Tensor:
        """(C, m) the mean of (N, m) values over each cell."""
        if self.members is not None:
            return self.members @ values
        sums = torch.zeros((len(self.sizes) + 1, values.shape[1]), dtype=values.dtype)
        sums.index_add_(0, self.cell, values if self.weights is None else values * self.weights)
        return sums[:-1] / self.sizes

    def by_row(self, slope: Tensor) -> Tensor:
        """(N, m) each row's share of the (C, m) gradient in its cell's means; 0 in no cell."""
        if self.members is not None:
            return self.members.T @ slope
        by_cell = torch.zeros((len(self.sizes) + 1, slope.shape[1]), dtype=slope.dtype)
        by_cell[:-1] = slope / self.sizes
        by_row = by_cell[self.cell]
        return by_row if self.weights is None else by_row * self.weights
