"""Forms: how a flat parameter vector becomes logits, and how a gradient comes back.

The parameters are preconditioned by the Cholesky factor of the features' Gram matrix, so that
badly scaled and correlated features cost no more iterations than white ones.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.linalg
import torch

from evenhand.errors import InputError
from evenhand.head import Head

Float64 = npt.NDArray[np.float64]
GRAM_ROWS = 50_000
"""Rows that are enough to estimate the Gram matrix for preconditioning."""


class Form(Protocol):
    """What the solver needs of a parametrisation."""

    def logits(self, theta: Float64) -> torch.Tensor:
        """(N, m) logits of all rows."""
        ...

    def gradient(self, theta: Float64, slope: torch.Tensor) -> Float64:
        """The gradient at theta, given the objective's at the logits (N, m)."""
        ...

    def ridge(self, theta: Float64) -> tuple[float, Float64]:
        """The ridge term and its gradient."""
        ...

    def head(self, theta: Float64) -> Head:
        """The head that theta stands for."""
        ...


def preconditioner(x: torch.Tensor, ridge: float, intercept: bool) -> Float64:
    """The lower Cholesky factor of the Gram matrix, with the intercept's column if asked."""
    step = max(1, len(x) // GRAM_ROWS)
    some = x[::step]
    n, d = some.shape
    gram = np.empty((d + intercept, d + intercept), dtype=np.float64)
    gram[:d, :d] = (some.T @ some).double().numpy() / (4 * n)
    if intercept:
        gram[d, :d] = gram[:d, d] = some.double().mean(dim=0).numpy() / 4
        gram[d, d] = 0.25
    scale = max(float(np.trace(gram)) / len(gram), 1e-30)
    damping = np.append(np.full(d, ridge), np.zeros(int(intercept))) + 1e-9 * scale
    return np.asarray(np.linalg.cholesky(gram + np.diag(damping)), dtype=np.float64)


class Dense:
    """theta -> W (d, m) and b (m,), m = 1 for two classes (the log-odds), K otherwise.

    Without an intercept b stays 0.
    """

    def __init__(
        self, x: torch.Tensor, classes: int, ridge: float, *, intercept: bool = True
    ) -> None:
        self.x, self.ridge_weight, self.classes = x, ridge, classes
        self.outputs = 1 if self.classes == 2 else self.classes
        self.intercept = intercept
        self.factor = preconditioner(x, ridge, intercept=intercept)
        if not intercept:
            self.factor = scipy.linalg.block_diag(self.factor, np.ones((1, 1)))

    def _unpack(self, theta: Float64) -> Float64:
        """(d + 1, m) W over b."""
        white = theta.reshape(-1, self.outputs)
        plain: Float64 = scipy.linalg.solve_triangular(
            self.factor, white, lower=True, trans="T", check_finite=False
        )
        return plain

    def pack(self, start: Head | None) -> Float64:
        """The parameters that stand for ``start``."""
        if start is None:
            return np.zeros(len(self.factor) * self.outputs)
        bias = start.bias if self.intercept else np.zeros_like(start.bias)
        stacked = np.vstack([start.weight, bias]).astype(np.float64)
        if self.outputs == 1:
            stacked = stacked[:, 1:] - stacked[:, :1]
        packed: Float64 = (self.factor.T @ stacked).ravel()
        return packed

    def logits(self, theta: Float64) -> torch.Tensor:
        """(N, m) logits of all rows."""
        plain = torch.as_tensor(self._unpack(theta), dtype=self.x.dtype)
        return torch.addmm(plain[-1], self.x, plain[:-1])

    def gradient(self, theta: Float64, slope: torch.Tensor) -> Float64:
        """The gradient at theta, given the objective's at the logits."""
        plain = np.vstack(
            [(self.x.T @ slope).double().numpy(), slope.double().sum(dim=0, keepdim=True).numpy()]
        )
        plain[-1] *= self.intercept
        return self._whiten(plain)

    def ridge(self, theta: Float64) -> tuple[float, Float64]:
        """The ridge term and its gradient."""
        plain = self._unpack(theta)
        plain[-1] = 0
        return 0.5 * self.ridge_weight * float((plain**2).sum()), self._whiten(
            self.ridge_weight * plain
        )

    def _whiten(self, gradient: Float64) -> Float64:
        white: Float64 = scipy.linalg.solve_triangular(
            self.factor, gradient, lower=True, check_finite=False
        )
        return white.ravel()

    def head(self, theta: Float64) -> Head:
        """The head that theta stands for."""
        plain = self._unpack(theta)
        if self.outputs == 1:
            plain = np.hstack([-plain / 2, plain / 2])
        return Head(plain[:-1], plain[-1])


class LowRank:
    """theta -> A (d, r), B (r, K) and b (K,), W = A B; without an intercept b stays 0."""

    def __init__(
        self, x: torch.Tensor, classes: int, ridge: float, rank: int, *, intercept: bool = True
    ) -> None:
        self.x, self.rank, self.classes = x, rank, classes
        self.intercept = intercept
        self.width = x.shape[1]
        # The dense binary ridge is on the difference of two opposite columns: twice their norm.
        self.ridge_weight = 2 * ridge if self.classes == 2 else ridge
        self.factor = preconditioner(x, ridge, intercept=False)

    def _unpack(self, theta: Float64) -> tuple[Float64, Float64, Float64]:
        split = self.width * self.rank
        down = scipy.linalg.solve_triangular(
            self.factor,
            theta[:split].reshape(self.width, self.rank),
            lower=True,
            trans="T",
            check_finite=False,
        )
        up = theta[split : split + self.rank * self.classes].reshape(self.rank, self.classes)
        return down, up, theta[-self.classes :]

    def pack(self, start: Head | None) -> Float64:
        """The parameters that stand for ``start``."""
        if start is None or start.factors is None or start.factors[0].shape[1] != self.rank:
            raise InputError(f"a fit at rank {self.rank} starts from factors of that rank")
        down, up = (np.asarray(part, dtype=np.float64) for part in start.factors)
        bias = start.bias * self.intercept
        return np.concatenate([(self.factor.T @ down).ravel(), up.ravel(), bias])

    def logits(self, theta: Float64) -> torch.Tensor:
        """(N, m) logits of all rows."""
        down, up, bias = (torch.as_tensor(p, dtype=self.x.dtype) for p in self._unpack(theta))
        return torch.addmm(bias, self.x @ down, up)

    def gradient(self, theta: Float64, slope: torch.Tensor) -> Float64:
        """The gradient at theta, given the objective's at the logits."""
        down, up, _ = self._unpack(theta)
        by_weight = (self.x.T @ slope).double().numpy()
        return self._collect(
            by_weight @ up.T, down.T @ by_weight, slope.double().sum(dim=0).numpy()
        )

    def ridge(self, theta: Float64) -> tuple[float, Float64]:
        """The ridge term and its gradient."""
        down, up, bias = self._unpack(theta)
        weight = down @ up
        weight = weight - weight.mean(axis=1, keepdims=True)
        slope = self.ridge_weight * weight
        value = 0.5 * self.ridge_weight * float((weight**2).sum())
        return value, self._collect(slope @ up.T, down.T @ slope, np.zeros_like(bias))

    def _collect(self, down: Float64, up: Float64, bias: Float64) -> Float64:
        white = scipy.linalg.solve_triangular(self.factor, down, lower=True, check_finite=False)
        return np.concatenate([white.ravel(), up.ravel(), bias * self.intercept])

    def head(self, theta: Float64) -> Head:
        """The low-rank head that theta stands for."""
        down, up, bias = self._unpack(theta)
        return Head(down @ up, bias.copy(), (down, up.copy()))
