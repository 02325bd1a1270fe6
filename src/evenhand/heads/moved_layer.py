"""The last hidden layer moved in every direction, together with the head (METHOD section 6.3).

With the layer's inputs u (N, in) cached, h = relu(u V + c) and z = h w + b. V = V0 + L⁻ᵀ U with
L Lᵀ = uᵀu / n + .01, and what is minimised is the log-loss and the penalty plus

    1/2 · .1 ||U||² + 1/2 · .1 ||c - c0||² + 1/2 · .01 ||w - w0||²,

so that ||U||² is <V - V0, L Lᵀ (V - V0)>, what the change does to the layer's outputs. The ridge to
the weights that were learnt is everything: towards 0 it costs what is gained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenhand._base.arrays import Float64, FloatArray
from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.adapter import Adapter, Hidden
from evenhand.heads.logits import affine, of_affine
from evenhand.heads.preconditioner import solved

DAMPING = 0.01
"""Added to the Gram matrix of the layer's inputs."""


ON_OUTPUTS, ON_BIAS, ON_HEAD = 0.1, 0.1, 0.01
"""The ridges: on the change of the layer's outputs, of its bias, and of the head."""


MOVED_STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0)


MOVED_EVALUATIONS = 120
"""Evaluations that are enough for a strength, begun at the one before."""


MOVED_TOLERANCE = 5e-4
"""Largest entry of the gradient at which a fit stops; its decisions are settled then."""


MOVED_FLAT = 1e-6
"""Nats by which a step must lower the objective to be followed by another: where a ReLU turns, the
gradient jumps, and need never be small."""


@dataclass(frozen=True, eq=False)
class MovedLayer(Adapter):
    """A hidden layer with a change of full rank: ``down`` is V - V0, ``up`` is 1, c is new."""

    @property
    def trainable_parameters(self) -> int:
        """The layer's weights and biases."""
        return int(self.hidden.weight.size + self.hidden.bias.size)


class Moved:
    """theta -> U (in, width), c - c0 (width,), w (width, m) and b (m,); a form for the solver.

    Args:
        inputs: (N, in) what the layer reads.
        classes: K; m is 1 for two, the log-odds.
        hidden: V0 and c0.
        old: the head, w0 and b0; zero without.
        weights: (N,) of the rows, mean 1; equal ones by default.
    """

    def __init__(
        self,
        inputs: FloatArray,
        classes: int,
        hidden: Hidden,
        old: Head | None,
        weights: FloatArray | None = None,
    ) -> None:
        if inputs.shape[1] != hidden.weight.shape[0]:
            raise InputError(
                f"the hidden layer reads {hidden.weight.shape[0]} inputs, found {inputs.shape[1]}"
            )
        width = hidden.weight.shape[1]
        self.x, self.hidden, self.classes = inputs, hidden, classes
        self.outputs = 1 if classes == 2 else classes
        weighed = inputs if weights is None else inputs * weights[:, None]
        gram = (inputs.T @ weighed).astype(np.float64) / max(len(inputs), 1)
        damped = gram + DAMPING * np.eye(len(gram))
        self.factor: Float64 = np.asarray(np.linalg.cholesky(damped), dtype=np.float64)
        self.sizes = (inputs.shape[1] * width, width, width * self.outputs, self.outputs)
        self.old = np.concatenate(
            [np.zeros(self.sizes[0] + width), self._of_head(old), np.zeros(self.outputs)]
        )
        self.ridges = np.repeat([ON_OUTPUTS, ON_BIAS, ON_HEAD, 0.0], self.sizes)
        self.last: FloatArray | None = None

    def _of_head(self, old: Head | None) -> Float64:
        if old is None:
            return np.zeros(self.sizes[2])
        weight = old.weight
        if self.outputs == 1:
            weight = weight[:, 1:] - weight[:, :1]
        return np.asarray(weight, dtype=np.float64).ravel()

    def pack(self, start: Head | None) -> Float64:
        """The parameters of the unmoved layer under the head ``start``."""
        theta = self.old.copy()
        if start is not None:
            theta[-self.sizes[2] - self.outputs : -self.outputs] = self._of_head(start)
            bias = start.bias
            theta[-self.outputs :] = bias[1:] - bias[:1] if self.outputs == 1 else bias
        return theta

    def _unpack(self, theta: Float64) -> tuple[Float64, Float64, Float64, Float64]:
        """V, c, w and b."""
        moved, bias, weight, offset = np.split(theta, np.cumsum(self.sizes)[:-1])
        change = solved(self.factor, moved.reshape(len(self.factor), -1), transposed=True)
        return (
            self.hidden.weight + change,
            self.hidden.bias + bias,
            weight.reshape(-1, self.outputs),
            offset,
        )

    def logits(self, theta: Float64) -> FloatArray:
        """(N, m) logits of all rows."""
        layer, bias, weight, offset = self._unpack(theta)
        features = affine(self.x, np.vstack([layer, bias]))
        self.last = np.maximum(features, 0, out=features)
        return affine(self.last, np.vstack([weight, offset]))

    def gradient(self, theta: Float64, slope: FloatArray) -> Float64:
        """The gradient at theta, given the objective's at the logits; follows ``logits(theta)``."""
        if self.last is None:
            self.logits(theta)
        features: FloatArray = self.last  # type: ignore[assignment]
        weight = self._unpack(theta)[2].astype(self.x.dtype)
        before = slope @ weight.T
        before *= features > 0
        by_layer = of_affine(self.x, before)
        moved = solved(self.factor, by_layer[:-1])
        by_head = of_affine(features, slope)
        return np.concatenate([moved.ravel(), by_layer[-1], by_head.ravel()])

    def ridge(self, theta: Float64) -> tuple[float, Float64]:
        """The ridge to what was learnt, and its gradient."""
        slope = self.ridges * (theta - self.old)
        return 0.5 * float(slope @ (theta - self.old)), slope

    def head(self, theta: Float64) -> Head:
        """The head on the moved layer."""
        _, _, weight, bias = self._unpack(theta)
        if self.outputs == 1:
            weight, bias = np.hstack([-weight / 2, weight / 2]), np.append(-bias / 2, bias / 2)
        return Head(weight.copy(), bias.copy())

    def adapter(self, theta: Float64) -> MovedLayer:
        """The change to the layer."""
        layer, bias, _, _ = self._unpack(theta)
        moved = layer - self.hidden.weight
        return MovedLayer(Hidden(self.hidden.weight, bias), moved, np.eye(moved.shape[1]))
