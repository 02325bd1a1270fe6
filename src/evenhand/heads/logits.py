"""Logits of rows and the soft decisions of logits, in the precision of what is given."""

from __future__ import annotations

import numpy as np

from evenhand._base.arrays import Float64, FloatArray


def affine(x: FloatArray, plain: Float64) -> FloatArray:
    """(N, m) x W + b in the precision of x, given W over b."""
    weights = plain.astype(x.dtype, copy=False)
    found: FloatArray = x @ weights[:-1]
    found += weights[-1]
    return found


def of_affine(x: FloatArray, slope: FloatArray) -> Float64:
    """(d + 1, m) the gradient in W over b, given that in x W + b."""
    return np.vstack([x.T @ slope, slope.sum(axis=0, keepdims=True, dtype=np.float64)])


def sigmoid(z: FloatArray) -> FloatArray:
    """1 / (1 + exp(-z)), of any size; small ones to their last digit."""
    found: FloatArray = np.negative(z)
    with np.errstate(over="ignore"):  # 1 / infinity is the 0 that is meant
        np.exp(found, out=found)
    found += 1
    np.reciprocal(found, out=found)
    return found


def softmax(z: FloatArray) -> FloatArray:
    """exp(z) over its sum along the second axis, which is that of the classes."""
    found: FloatArray = z - z.max(axis=1, keepdims=True)
    np.exp(found, out=found)
    found /= found.sum(axis=1, keepdims=True)
    return found
