"""The Cholesky factor of the features' Gram matrix, in which L-BFGS takes few steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg.lapack import dtrtrs

from evenhand._base.arrays import Float64, FloatArray

GRAM_ROWS = 50_000
"""Rows that are enough to estimate the Gram matrix for preconditioning."""


Product = Callable[[FloatArray, FloatArray], FloatArray]
"""(d, e) the product of (N, d), transposed, with (N, e); most of the work there is."""


def product_here(one: FloatArray, other: FloatArray) -> FloatArray:
    """The product by the processor."""
    return np.asarray(one.T @ other)


def preconditioner(
    x: FloatArray,
    ridge: float,
    intercept: bool,
    curvature: FloatArray | None = None,
    product: Product = product_here,
) -> Float64:
    """The lower Cholesky factor of the Gram matrix, with the intercept's column if asked.

    The log-loss curves at most 1/4 as much as the Gram matrix; ``curvature`` (N, 1) has
    4 p (1 - p) of each row, where it is known, which makes the product its Hessian.
    """
    step = max(1, len(x) // GRAM_ROWS)
    some = x[::step]
    n, d = some.shape
    gram = np.empty((d + intercept, d + intercept), dtype=np.float64)
    curved = some if curvature is None else some * curvature[::step]
    gram[:d, :d] = product(some, curved).astype(np.float64) / (4 * n)
    if intercept:
        gram[d, :d] = gram[:d, d] = curved.mean(axis=0, dtype=np.float64) / 4
        gram[d, d] = 0.25
        if curvature is not None:
            gram[d, d] *= curvature[::step].mean(dtype=np.float64)
    own = np.diag(gram).copy()
    scale = max(float(np.trace(gram)) / len(gram), 1e-30)
    # As much for every column, but not so much that one far smaller than the rest, such as the
    # intercept's beside features of 1e10, would never move.
    level = np.where(own > 0, np.minimum(scale, 1e6 * own), scale)
    damping = np.append(np.full(d, ridge), np.zeros(int(intercept)))
    for share in (1e-9, 1e-6, 1e-3):
        # float32 products of more columns than rows may fall short of the curve of these
        try:
            damped = gram + np.diag(damping + share * level)
            return np.asarray(np.linalg.cholesky(damped), dtype=np.float64)
        except np.linalg.LinAlgError:
            continue
    return np.diag(np.sqrt(own + damping + 1e-9 * level))


def solved(factor: Float64, values: Float64, *, transposed: bool = False) -> Float64:
    """``factor``⁻¹ ``values``, or the transpose's, for a lower triangle.

    LAPACK's routine itself: a fit calls it four times an evaluation, and the checks of
    ``scipy.linalg.solve_triangular`` take longer than it does.
    """
    found: Float64 = dtrtrs(factor.T, values, lower=0, trans=int(not transposed))[0]
    return found
