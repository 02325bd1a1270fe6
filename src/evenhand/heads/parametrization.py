"""Forms: how a flat parameter vector becomes logits, and how a gradient comes back.

The parameters are preconditioned by the Cholesky factor of the features' Gram matrix, so that
badly scaled and correlated features cost no more iterations than white ones.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Protocol

import numpy as np
import scipy.linalg

from evenhand._base.arrays import Float64, FloatArray
from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.logits import affine, of_affine, sigmoid
from evenhand.heads.preconditioner import Product, preconditioner, product_here, solved

FAR = 4
"""Times the log-loss of knowing nothing."""


class Form(Protocol):
    """What the solver needs of a parametrisation."""

    def logits(self, theta: Float64) -> FloatArray:
        """(N, m) logits of all rows."""
        ...

    def gradient(self, theta: Float64, slope: FloatArray) -> Float64:
        """The gradient at theta, given the objective's at the logits (N, m)."""
        ...

    def ridge(self, theta: Float64) -> tuple[float, Float64]:
        """The ridge term and its gradient."""
        ...

    def head(self, theta: Float64) -> Head:
        """The head that theta stands for."""
        ...


class Dense:
    """theta -> W (d, m) and b (m,), m = 1 for two classes (the log-odds), K otherwise.

    Without an intercept b stays 0.
    """

    def __init__(
        self,
        x: FloatArray,
        classes: int,
        ridge: float,
        *,
        intercept: bool = True,
        anchor: Head | None = None,
        weights: FloatArray | None = None,
        product: Product = product_here,
    ) -> None:
        self.x, self.ridge_weight, self.classes = x, ridge, classes
        self.product = product
        self.weights = None if weights is None else weights[:, None]
        self.outputs = 1 if self.classes == 2 else self.classes
        self.intercept = intercept
        self.anchor = drawn_to(anchor, self.classes)
        self.factor = self._factor()
        self.stiff: tuple[Float64, Float64] | None = None

    def _factor(self, curvature: FloatArray | None = None) -> Float64:
        if self.weights is not None:
            curvature = self.weights if curvature is None else self.weights * curvature
        factor = preconditioner(self.x, self.ridge_weight, self.intercept, curvature, self.product)
        return factor if self.intercept else scipy.linalg.block_diag(factor, np.ones((1, 1)))

    def with_hessian(self, theta: Float64, x: FloatArray) -> Dense:
        """The same form on ``x``, preconditioned by the log-loss's Hessian there (two classes)."""
        p = sigmoid(affine(x, self.plain(theta)))
        changed = copy.copy(self)
        changed.x, changed.stiff = x, None
        changed.factor = changed._factor(4 * p * (1 - p))
        return changed

    def with_penalty_curvature(self, rows: Float64) -> Dense:
        """The same form where the objective also curves as ``rowsᵀ rows`` ((c, d + 1), c small).

        With L the Gram matrix's factor and V = L⁻¹ rowsᵀ, L Lᵀ + rowsᵀ rows = L (1 + V Vᵀ) Lᵀ, and
        the square root of the middle differs from 1 in the directions of V only.
        """
        changed = copy.copy(self)
        if not self.intercept:
            rows = np.hstack([rows[:, :-1], np.zeros((len(rows), 1))])
        inner = solved(self.factor, rows.T)
        directions, singular, _ = np.linalg.svd(inner, full_matrices=False)
        changed.stiff = directions, np.sqrt(1 + singular**2)
        return changed

    def _scaled(self, white: Float64, power: int) -> Float64:
        """The middle factor's square root, or (power -1) its inverse, times ``white``."""
        if self.stiff is None:
            return white
        directions, gains = self.stiff
        return white + directions @ ((gains**power - 1)[:, None] * (directions.T @ white))

    def plain(self, theta: Float64) -> Float64:
        """(d + 1, m) W over b."""
        white = self._scaled(theta.reshape(-1, self.outputs), -1)
        return solved(self.factor, white, transposed=True)

    def from_weights(self, plain: Float64) -> Float64:
        """The parameters that stand for W over b, (d + 1, m)."""
        return self._scaled(self.factor.T @ plain, 1).ravel()

    def pack(self, start: Head | None) -> Float64:
        """The parameters that stand for ``start``."""
        if start is None:
            return np.zeros(len(self.factor) * self.outputs)
        bias = start.bias if self.intercept else np.zeros_like(start.bias)
        stacked = np.vstack([start.weight, bias]).astype(np.float64)
        if self.outputs == 1:
            stacked = stacked[:, 1:] - stacked[:, :1]
        return self.from_weights(stacked)

    def logits(self, theta: Float64) -> FloatArray:
        """(N, m) logits of all rows."""
        return affine(self.x, self.plain(theta))

    def gradient(self, theta: Float64, slope: FloatArray) -> Float64:
        """The gradient at theta, given the objective's at the logits."""
        return self.gradient_from_weights(theta, of_affine(self.x, slope))

    def gradient_from_weights(self, theta: Float64, slope: Float64) -> Float64:
        """The gradient at theta, given the one at W over b (d + 1, m)."""
        slope[-1] *= self.intercept
        return self._whiten(slope)

    def ridge(self, theta: Float64) -> tuple[float, Float64]:
        """The ridge term and its gradient."""
        plain = self.plain(theta)
        plain[-1] = 0
        plain[:-1] -= self.anchor
        return 0.5 * self.ridge_weight * float((plain**2).sum()), self._whiten(
            self.ridge_weight * plain
        )

    def _whiten(self, gradient: Float64) -> Float64:
        return self._scaled(solved(self.factor, gradient), -1).ravel()

    def head(self, theta: Float64) -> Head:
        """The head that theta stands for."""
        plain = self.plain(theta)
        if self.outputs == 1:
            plain = np.hstack([-plain / 2, plain / 2])
        return Head(plain[:-1], plain[-1])


def drawn_to(anchor: Head | None, classes: int) -> Float64:
    """(d, m) the weights that a ridge draws towards; 0 where there is no anchor."""
    if anchor is None:
        return np.zeros((1, 1))
    weight = np.asarray(anchor.weight, dtype=np.float64)
    return weight[:, 1:] - weight[:, :1] if classes == 2 else weight


def centred(weight: FloatArray) -> Float64:
    """The same head without what its columns share, which no decision sees."""
    plain = np.asarray(weight, dtype=np.float64)
    return np.asarray(plain - plain.mean(axis=1, keepdims=True))


def start_or_zero(form: Dense, start: Head | None, value: Callable[[Float64], float]) -> Float64:
    """The parameters of ``start``, or of no head where ``start`` is far worse than none.

    A head of other features, or one that large features make all too sure, is a long way back.

    Args:
        form: of the fit.
        start: where it was to begin.
        value: of the objective without its penalties, of which no head has log K.
    """
    theta = form.pack(start)
    far = start is not None and not value(theta) <= FAR * np.log(form.classes)
    return form.pack(None) if far else theta


class LowRank:
    """theta -> A (d, r), B (r, K) and b (K,), W = A B; without an intercept b stays 0."""

    def __init__(
        self,
        x: FloatArray,
        classes: int,
        ridge: float,
        rank: int,
        *,
        intercept: bool = True,
        anchor: Head | None = None,
        product: Product = product_here,
    ) -> None:
        self.x, self.rank, self.classes = x, rank, classes
        self.intercept = intercept
        self.width = x.shape[1]
        # The dense binary ridge is on the difference of two opposite columns: twice their norm.
        self.ridge_weight = 2 * ridge if self.classes == 2 else ridge
        self.anchor = centred(np.zeros((1, 1)) if anchor is None else anchor.weight)
        self.factor = preconditioner(x, ridge, intercept=False, product=product)

    def _unpack(self, theta: Float64) -> tuple[Float64, Float64, Float64]:
        split = self.width * self.rank
        white = theta[:split].reshape(self.width, self.rank)
        down = solved(self.factor, white, transposed=True)
        up = theta[split : split + self.rank * self.classes].reshape(self.rank, self.classes)
        return down, up, theta[-self.classes :]

    def pack(self, start: Head | None) -> Float64:
        """The parameters that stand for ``start``.

        Raises:
            InputError: ``start`` has no factors of the rank.
        """
        if start is None or start.factors is None or start.factors[0].shape[1] != self.rank:
            raise InputError(f"a fit at rank {self.rank} starts from factors of that rank")
        down, up = (np.asarray(part, dtype=np.float64) for part in start.factors)
        bias = start.bias * self.intercept
        return np.concatenate([(self.factor.T @ down).ravel(), up.ravel(), bias])

    def logits(self, theta: Float64) -> FloatArray:
        """(N, m) logits of all rows."""
        down, up, bias = self._unpack(theta)
        return affine(self.x @ down.astype(self.x.dtype), np.vstack([up, bias]))

    def gradient(self, theta: Float64, slope: FloatArray) -> Float64:
        """The gradient at theta, given the objective's at the logits."""
        return self._chain(theta, of_affine(self.x, slope))

    def plain(self, theta: Float64) -> Float64:
        """(d + 1, m) W over b, m as for a dense head."""
        down, up, bias = self._unpack(theta)
        plain = np.vstack([down @ up, bias])
        return plain[:, 1:] - plain[:, :1] if self.classes == 2 else plain

    def gradient_from_weights(self, theta: Float64, slope: Float64) -> Float64:
        """The gradient at theta, given the one at W over b (d + 1, m)."""
        return self._chain(theta, np.hstack([-slope, slope]) if self.classes == 2 else slope)

    def _chain(self, theta: Float64, slope: Float64) -> Float64:
        down, up, _ = self._unpack(theta)
        return self._collect(slope[:-1] @ up.T, down.T @ slope[:-1], slope[-1])

    def ridge(self, theta: Float64) -> tuple[float, Float64]:
        """The ridge term and its gradient."""
        down, up, bias = self._unpack(theta)
        weight = centred(down @ up) - self.anchor
        slope = self.ridge_weight * weight
        value = 0.5 * self.ridge_weight * float((weight**2).sum())
        return value, self._collect(slope @ up.T, down.T @ slope, np.zeros_like(bias))

    def _collect(self, down: Float64, up: Float64, bias: Float64) -> Float64:
        white = solved(self.factor, down)
        return np.concatenate([white.ravel(), up.ravel(), bias * self.intercept])

    def head(self, theta: Float64) -> Head:
        """The low-rank head that theta stands for."""
        down, up, bias = self._unpack(theta)
        return Head(down @ up, bias.copy(), (down, up.copy()))
