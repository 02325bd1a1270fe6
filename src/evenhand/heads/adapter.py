"""A low-rank change to the last hidden layer, trained together with the head.

With the hidden layer's inputs u (N, in) cached, its outputs are h = relu(u V + c + (u D) E) with
D (in, r) and E (r, width) the adapter. A head alone can only reweigh features that were learnt for
another aim; moving them a little leaves more room. r (in + width) numbers more than the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenhand._base.arrays import Float64, FloatArray
from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.logits import affine, of_affine
from evenhand.heads.preconditioner import preconditioner, solved


@dataclass(frozen=True, eq=False)
class Hidden:
    """A frozen linear layer followed by a ReLU.

    Attributes:
        weight: (in, width) floats, V.
        bias: (width,) floats, c.
    """

    weight: FloatArray
    bias: FloatArray

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[1:]:
            raise InputError(
                "a hidden layer needs weight (in, width) and bias (width,), "
                f"found {self.weight.shape} and {self.bias.shape}"
            )

    def require_rank(self, rank: int) -> None:
        """Refuse a rank that no change to this layer can have.

        Raises:
            InputError: a rank outside [1, min(in, width)].
        """
        highest = min(self.weight.shape)
        if not 1 <= rank <= highest:
            raise InputError(f"an adapter's rank must lie in [1, {highest}], found {rank}")


@dataclass(frozen=True, eq=False)
class Adapter:
    """A hidden layer with a low-rank change: h = relu(u (V + D E) + c).

    Attributes:
        hidden: V and c, unchanged.
        down: (in, r) D.
        up: (r, width) E.
    """

    hidden: Hidden
    down: Float64
    up: Float64

    def __call__(self, inputs: FloatArray) -> FloatArray:
        """(N, width) features of the layer's (N, in) inputs."""
        features: FloatArray = np.maximum(inputs @ self.merged.weight + self.hidden.bias, 0)
        return features

    @property
    def merged(self) -> Hidden:
        """The layer with the change added to its weight."""
        return Hidden(self.hidden.weight + self.down @ self.up, self.hidden.bias)

    @property
    def trainable_parameters(self) -> int:
        """r (in + width)."""
        return int(self.down.size + self.up.size)


class Adapted:
    """theta -> D, E, the head's w (width, m) and b (m,); a form for the solver."""

    def __init__(
        self,
        inputs: FloatArray,
        classes: int,
        ridge: float,
        hidden: Hidden,
        rank: int,
        seed: int,
        anchor: Head | None = None,
    ) -> None:
        width = hidden.weight.shape[1]
        hidden.require_rank(rank)
        if inputs.shape[1] != hidden.weight.shape[0]:
            raise InputError(
                f"the hidden layer reads {hidden.weight.shape[0]} inputs, found {inputs.shape[1]}"
            )
        self.x, self.hidden, self.rank, self.classes = inputs, hidden, rank, classes
        self.outputs = 1 if classes == 2 else classes
        self.ridge_weight, self.seed = ridge, seed
        self.anchor = np.zeros((1, 1)) if anchor is None else np.asarray(anchor.weight)
        if anchor is not None and self.outputs == 1:
            self.anchor = self.anchor[:, 1:] - self.anchor[:, :1]
        self.base = affine(inputs, np.vstack([hidden.weight, hidden.bias]))
        self.factor = preconditioner(inputs, max(ridge, 1e-3), intercept=False)
        self.sizes = (inputs.shape[1] * rank, rank * width, width * self.outputs, self.outputs)
        self.last: tuple[FloatArray, FloatArray] | None = None

    def _unpack(self, theta: Float64) -> tuple[Float64, Float64, Float64, Float64]:
        down, up, weight, bias = np.split(theta, np.cumsum(self.sizes)[:-1])
        plain = solved(self.factor, down.reshape(-1, self.rank), transposed=True)
        return plain, up.reshape(self.rank, -1), weight.reshape(-1, self.outputs), bias

    def pack(self, start: Head | None) -> Float64:
        """The parameters of no change (D drawn from the seed, E = 0) under the head ``start``."""
        draw = np.random.default_rng(self.seed)
        down = draw.normal(size=self.sizes[0]) / np.sqrt(self.x.shape[1])
        up = np.zeros(self.sizes[1])
        if start is None:
            return np.concatenate([down, up, np.zeros(self.sizes[2] + self.sizes[3])])
        weight, bias = start.weight, start.bias
        if self.outputs == 1:
            weight, bias = weight[:, 1:] - weight[:, :1], bias[1:] - bias[:1]
        return np.concatenate([down, up, weight.ravel(), bias])

    def logits(self, theta: Float64) -> FloatArray:
        """(N, m) logits of all rows."""
        down, up, weight, bias = self._unpack(theta)
        inner = self.x @ down.astype(self.x.dtype)
        features = inner @ up.astype(self.x.dtype)
        features += self.base
        np.maximum(features, 0, out=features)
        self.last = inner, features
        return affine(features, np.vstack([weight, bias]))

    def gradient(self, theta: Float64, slope: FloatArray) -> Float64:
        """The gradient at theta, given the objective's at the logits; follows ``logits(theta)``."""
        if self.last is None:
            self.logits(theta)
        inner, features = self.last  # type: ignore[misc]
        _, up, weight, _ = (part.astype(self.x.dtype) for part in self._unpack(theta))
        before = slope @ weight.T
        before *= features > 0
        down = (self.x.T @ (before @ up.T)).astype(np.float64)
        by_head = of_affine(features, slope).ravel()
        return np.concatenate([self._whiten(down), (inner.T @ before).ravel(), by_head])

    def ridge(self, theta: Float64) -> tuple[float, Float64]:
        """The ridge on the head's weight and on the change D E, and its gradient."""
        down, up, weight, bias = self._unpack(theta)
        change = down @ up
        weight = weight - self.anchor
        value = 0.5 * self.ridge_weight * float((weight**2).sum() + (change**2).sum())
        parts = (change @ up.T, down.T @ change, weight, np.zeros_like(bias))
        slopes = [self.ridge_weight * part for part in parts]
        return value, np.concatenate(
            [self._whiten(slopes[0]), *(slope.ravel() for slope in slopes[1:])]
        )

    def _whiten(self, gradient: Float64) -> Float64:
        return solved(self.factor, gradient).ravel()

    def head(self, theta: Float64) -> Head:
        """The head on the changed features."""
        _, _, weight, bias = self._unpack(theta)
        if self.outputs == 1:
            weight, bias = np.hstack([-weight / 2, weight / 2]), np.append(-bias / 2, bias / 2)
        return Head(weight.copy(), bias.copy())

    def adapter(self, theta: Float64) -> Adapter:
        """The change to the hidden layer."""
        down, up, _, _ = self._unpack(theta)
        return Adapter(self.hidden, down, up.copy())
