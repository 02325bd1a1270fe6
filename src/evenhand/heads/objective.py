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
        self.signs = self.labels.to(dtype)[:, None]
        self.weights = None if weights is None else torch.as_tensor(weights, dtype=dtype)[:, None]
        self.terms = [
            (term, torch.as_tensor(term.cell), torch.as_tensor(term.sizes, dtype=dtype)[:, None])
            for term in terms
            if term.active
        ]

    def __call__(self, logits: Tensor, strength: float) -> tuple[float, Tensor]:
        """The objective at ``logits`` (N, 1) or (N, K), and its gradient of the same shape."""
        value, gradient = self._log_loss(logits)
        if strength:
            for term, cell, sizes in self.terms:
                penalty, slope = self._penalty(logits, term, cell, sizes)
                value += strength * penalty
                gradient += strength * slope
        return value, gradient

    def _log_loss(self, logits: Tensor) -> tuple[float, Tensor]:
        n = len(logits)
        if logits.shape[1] == 1:
            losses = torch.nn.functional.softplus(logits) - self.signs * logits
            delta = torch.sigmoid(logits) - self.signs
        else:
            log_p = torch.log_softmax(logits, dim=1)
            losses = -log_p.gather(1, self.labels[:, None])
            delta = log_p.exp()
            delta[torch.arange(n), self.labels] -= 1
        if self.weights is not None:
            losses, delta = losses * self.weights, delta * self.weights
        return float(losses.mean()), delta / n

    @staticmethod
    def _penalty(
        logits: Tensor, term: GapTerm, cell: Tensor, sizes: Tensor
    ) -> tuple[float, Tensor]:
        outputs = logits.shape[1]
        p = (
            torch.sigmoid(term.beta * logits)
            if outputs == 1
            else torch.softmax(term.beta * logits, dim=1)
        )
        sums = torch.zeros((len(sizes) + 1, outputs), dtype=logits.dtype)
        sums.index_add_(0, cell, p)
        means = (sums[:-1] / sizes).double().numpy()
        binary = outputs == 2
        value, slope = penalty_of_means(term, means[:, 1:] if binary else means)
        if binary:
            slope = np.hstack([np.zeros_like(slope), slope])
        by_cell = torch.zeros((len(sizes) + 1, outputs), dtype=logits.dtype)
        by_cell[:-1] = torch.as_tensor(slope, dtype=logits.dtype) / sizes
        by_row = by_cell[cell]
        if outputs == 1:
            return value, term.beta * p * (1 - p) * by_row
        return value, term.beta * p * (by_row - (p * by_row).sum(dim=1, keepdim=True))
