"""A linear head as arrays: z = x W + b."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import IntArray
from evenhand.errors import InputError, ModelError

if TYPE_CHECKING:
    from torch import nn

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Head:
    """A linear head, or a low-rank one.

    Attributes:
        weight: (d, k) floats, W (the transpose of ``nn.Linear.weight``).
        bias: (k,) floats, b.
        factors: (d, r) and (r, k) with ``down @ up = weight`` where the head is of low rank.

    Example:
        >>> head = eh.heads.Head(np.array([[0.0, 2.0], [0.0, -1.0]]), np.array([0.0, 0.5]))
        >>> head.predict(np.array([[1.0, 1.0], [0.0, 1.0]]))
        array([1, 0])
    """

    weight: FloatArray
    bias: FloatArray
    factors: tuple[FloatArray, FloatArray] | None = None

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[1:]:
            raise InputError(
                "a head needs weight (d, k) and bias (k,), "
                f"found {self.weight.shape} and {self.bias.shape}"
            )
        for name, values in (("weight", self.weight), ("bias", self.bias)):
            bad = int((~np.isfinite(values)).sum())
            if bad:
                raise InputError(
                    f"a head's {name} of shape {values.shape} holds NaN or infinity in {bad} places"
                )

    @property
    def in_features(self) -> int:
        """The features the head reads, d."""
        return int(self.weight.shape[0])

    @property
    def out_features(self) -> int:
        """The classes it tells apart, k."""
        return int(self.weight.shape[1])

    @property
    def trainable_parameters(self) -> int:
        """What trains: dk + k, or r(d + k) + k for a low-rank head."""
        parts = self.factors or (self.weight,)
        return int(sum(part.size for part in parts) + self.bias.size)

    def logits(self, features: FloatArray) -> FloatArray:
        """(N, k) z = x W + b of (N, d) features.

        Raises:
            InputError: the features have another shape.
        """
        if features.ndim != 2 or features.shape[1] != self.in_features:
            raise InputError(
                f"the head reads features of shape (N, {self.in_features}), found {features.shape}"
            )
        logits: FloatArray = features @ self.weight + self.bias
        return logits

    def predict(self, features: FloatArray) -> IntArray:
        """(N,) the class of the largest logit."""
        return self.logits(features).argmax(axis=1).astype(np.int64)

    def shifted(self, offset: float) -> Head:
        """A binary head whose positive class needs a log-odds of ``offset`` less.

        Raises:
            InputError: the head is not of two classes.
        """
        if self.out_features != 2:
            raise InputError(f"an offset is for two classes, this head has {self.out_features}")
        bias = self.bias + np.array([-offset / 2, offset / 2], dtype=self.bias.dtype)
        return Head(self.weight, bias, self.factors)

    def padded(self, width: int) -> Head:
        """The same head on ``width`` features, the further ones weighing nothing.

        Raises:
            InputError: fewer features than it reads.
        """
        if width < self.in_features:
            raise InputError(f"a head of {self.in_features} features cannot read {width}")
        more = np.zeros((width - self.in_features, self.out_features))
        return Head(np.vstack([self.weight, more]), self.bias)


def head_of(layer: nn.Linear) -> Head:
    """A linear layer as arrays, in float64."""
    weight = layer.weight.detach().cpu().double().numpy().T.copy()
    bias = np.zeros(layer.out_features)
    if layer.bias is not None:
        bias = layer.bias.detach().cpu().double().numpy().copy()
    return Head(weight, bias)


def put_head_(layer: nn.Linear, head: Head) -> None:
    """Write a head's numbers into a linear layer of the same shape, in place.

    Raises:
        ModelError: another shape, or no bias to write to.
    """
    if head.weight.shape != (layer.in_features, layer.out_features) or layer.bias is None:
        raise ModelError(
            f"a head of weight {head.weight.shape} does not fit a linear layer of "
            f"{(layer.in_features, layer.out_features)}"
            + (" without a bias" if layer.bias is None else "")
        )
    import torch

    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(head.weight.T.copy()))
        layer.bias.copy_(torch.as_tensor(head.bias))
