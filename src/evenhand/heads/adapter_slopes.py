"""How the log-odds of an adapted network follow the parameters of its fit.

With u the hidden layer's inputs, z = w·relu(u (V + D E) + c) + b. The parameters are D, E, w and b
as they are, not as the solver whitens them: what follows from both, J H⁻¹ Jᵀ, is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenhand._base.arrays import Float64, FloatArray
from evenhand.heads.adapter import Adapter


@dataclass(frozen=True, eq=False)
class AdapterSlopes:
    """An adapter and head of two classes, near their fit.

    Attributes:
        adapter: the change to the hidden layer.
        weight: (width,) the head's, of the log-odds.
        ridge: they were fitted with.
    """

    adapter: Adapter
    weight: Float64
    ridge: float

    @property
    def parameters(self) -> int:
        """p."""
        return self.adapter.trainable_parameters + len(self.weight) + 1

    def jacobian(self, inputs: FloatArray) -> FloatArray:
        """(n, p) slopes of the log-odds of rows with these (n, in) inputs, in their precision."""
        kind = inputs.dtype
        layer = self.adapter.merged
        features = inputs @ layer.weight.astype(kind) + layer.bias.astype(kind)
        np.maximum(features, 0, out=features)
        by_sum: FloatArray = np.where(features > 0, self.weight, 0).astype(kind)
        by_down = _products(inputs, by_sum @ self.adapter.up.astype(kind).T)
        by_up = _products(inputs @ self.adapter.down.astype(kind), by_sum)
        return np.hstack([by_down, by_up, features, np.ones((len(inputs), 1), dtype=kind)])

    def ridge_curvature(self) -> Float64:
        """(p, p) the second derivative of the ridge, the change D E taken as linear at the fit."""
        down, up = self.adapter.down, self.adapter.up
        (inputs, _), (_, width) = down.shape, up.shape
        first, end = down.size, down.size + up.size
        found = np.zeros((self.parameters, self.parameters))
        found[:first, :first] = np.kron(np.eye(inputs), up @ up.T)
        found[first:end, first:end] = np.kron(down.T @ down, np.eye(width))
        both = np.einsum("ks,rj->krsj", down, up).reshape(first, -1)
        found[:first, first:end], found[first:end, :first] = both, both.T
        found[end:-1, end:-1] = np.eye(width)
        return self.ridge * found


def _products(first: FloatArray, second: FloatArray) -> FloatArray:
    """(n, a b) of each row the products of its (n, a) and (n, b) numbers."""
    return (first[:, :, None] * second[:, None, :]).reshape(len(first), -1)
