"""Fitting a head on features: full-batch L-BFGS to convergence, along a path of strengths.

The parameters are preconditioned by the Cholesky factor of the features' Gram matrix, so that
badly scaled and correlated features cost no more iterations than white ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.optimize
import torch

from evenhand.errors import InputError
from evenhand.gaps import GapTerm
from evenhand.head import Head
from evenhand.objective import Objective
from evenhand.rows import Rows
from evenhand.threads import threads_for

Float64 = npt.NDArray[np.float64]
DOUBLE_WIDTH = 64
"""Up to this many features everything is float64; above, products are float32 and sums float64."""
GRAM_ROWS = 50_000
MAX_EVALUATIONS = 3_000
TOLERANCE = {torch.float64: 1e-7, torch.float32: 3e-5}
"""Largest entry of the preconditioned gradient at which a fit has converged."""


@dataclass(frozen=True, eq=False)
class HeadFit:
    """A fitted head and how the fit went.

    Attributes:
        head: the head, in float64.
        strength: of the gap penalty.
        value: the objective reached.
        evaluations: passes over the features.
        converged: whether the gradient fell below the tolerance.
    """

    head: Head
    strength: float
    value: float
    evaluations: int
    converged: bool


def fit_path(
    rows: Rows,
    strengths: Sequence[float] = (0.0,),
    terms: Sequence[GapTerm] = (),
    *,
    ridge: float,
    start: Head | None = None,
    rank: int | None = None,
    weights: np.ndarray | None = None,
    on_fit: Callable[[], None] | None = None,
) -> list[HeadFit]:
    """Fit a head at each strength in turn, each warm-started from the one before.

    Args:
        rows: features (N, d), labels and groups.
        strengths: of the penalty; 0 is transfer learning.
        terms: what is to be even (``gaps.gap_terms`` of the same rows).
        ridge: of 1/2 ridge ||w||²; for two classes w is the difference of W's columns.
        start: where to begin; zero by default. A low-rank head starts a low-rank fit.
        rank: fit W = A B at this rank instead of a dense W.
        weights: (N,) weights of the rows in the log-loss, mean 1.
        on_fit: called after each strength, for a progress bar.

    Raises:
        InputError: no rows, a feature that is not finite, or only one class among the labels.
    """
    _check(rows)
    dtype = torch.float64 if rows.features.shape[1] <= DOUBLE_WIDTH else torch.float32
    with threads_for(rows.features.size):
        x = torch.as_tensor(np.ascontiguousarray(rows.features), dtype=dtype)
        form = _form(x, rows, rank, ridge)
        objective = Objective(rows.labels, terms, weights=weights, dtype=dtype)
        theta = form.pack(start)
        fits = []
        for strength in strengths:
            theta, fit = _minimise(form, objective, float(strength), theta, TOLERANCE[dtype])
            fits.append(fit)
            if on_fit:
                on_fit()
    return fits


def _check(rows: Rows) -> None:
    if not len(rows):
        raise InputError("there are 0 rows to fit a head on")
    if not np.isfinite(rows.features).all():
        bad = int((~np.isfinite(rows.features)).any(axis=1).sum())
        raise InputError(f"features hold NaN or infinity in {bad} rows; remove or impute them")
    present = np.unique(rows.labels)
    if len(present) < 2:
        raise InputError(
            f"all {len(rows)} rows have the label {rows.classes[present[0]]!r}: "
            "a head needs at least two classes to tell apart"
        )


def _minimise(
    form: _Dense | _LowRank, objective: Objective, strength: float, theta: Float64, tolerance: float
) -> tuple[Float64, HeadFit]:
    evaluations = 0

    def value_and_gradient(at: Float64) -> tuple[float, Float64]:
        nonlocal evaluations
        evaluations += 1
        logits = form.logits(at)
        value, slope = objective(logits, strength)
        penalty, ridge_slope = form.ridge(at)
        return value + penalty, form.gradient(at, slope) + ridge_slope

    found = scipy.optimize.minimize(
        value_and_gradient,
        theta,
        jac=True,
        method="L-BFGS-B",
        options={
            "maxcor": 20,
            "gtol": tolerance,
            "ftol": 0.0,
            "maxfun": MAX_EVALUATIONS,
            "maxiter": MAX_EVALUATIONS,
        },
    )
    steepest = float(np.abs(found.jac).max(initial=0))
    converged = bool(steepest <= 100 * tolerance)
    return found.x, HeadFit(form.head(found.x), strength, float(found.fun), evaluations, converged)


def _preconditioner(x: torch.Tensor, ridge: float, intercept: bool) -> Float64:
    """The lower Cholesky factor of the Gram matrix, with the intercept's column if asked."""
    step = max(1, len(x) // GRAM_ROWS)
    some = x[::step]
    n, d = some.shape
    gram = np.empty((d + intercept, d + intercept))
    gram[:d, :d] = (some.T @ some).double().numpy() / n
    if intercept:
        gram[d, :d] = gram[:d, d] = some.double().mean(dim=0).numpy()
        gram[d, d] = 1.0
    gram = gram / 4
    scale = max(float(np.trace(gram)) / len(gram), 1e-30)
    gram[np.diag_indices(d)] += ridge
    gram[np.diag_indices_from(gram)] += 1e-9 * scale
    factor: Float64 = np.linalg.cholesky(gram)
    return factor


class _Dense:
    """theta -> W (d, m) and b (m,), m = 1 for two classes (the log-odds), K otherwise."""

    def __init__(self, x: torch.Tensor, rows: Rows, ridge: float) -> None:
        self.x, self.ridge_weight = x, ridge
        self.classes = len(rows.classes)
        self.outputs = 1 if self.classes == 2 else self.classes
        self.factor = _preconditioner(x, ridge, intercept=True)

    def _unpack(self, theta: Float64) -> Float64:
        """(d + 1, m) W over b."""
        white = theta.reshape(-1, self.outputs)
        plain: Float64 = scipy.linalg.solve_triangular(
            self.factor, white, lower=True, trans="T", check_finite=False
        )
        return plain

    def pack(self, start: Head | None) -> Float64:
        if start is None:
            return np.zeros(len(self.factor) * self.outputs)
        stacked = np.vstack([start.weight, start.bias]).astype(np.float64)
        if self.outputs == 1:
            stacked = stacked[:, 1:] - stacked[:, :1]
        packed: Float64 = (self.factor.T @ stacked).ravel()
        return packed

    def logits(self, theta: Float64) -> torch.Tensor:
        plain = torch.as_tensor(self._unpack(theta), dtype=self.x.dtype)
        return torch.addmm(plain[-1], self.x, plain[:-1])

    def gradient(self, theta: Float64, slope: torch.Tensor) -> Float64:
        plain = np.vstack(
            [(self.x.T @ slope).double().numpy(), slope.double().sum(dim=0, keepdim=True).numpy()]
        )
        return self._whiten(plain)

    def ridge(self, theta: Float64) -> tuple[float, Float64]:
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
        plain = self._unpack(theta)
        if self.outputs == 1:
            plain = np.hstack([-plain / 2, plain / 2])
        return Head(plain[:-1], plain[-1])


class _LowRank:
    """theta -> A (d, r), B (r, K) and b (K,), W = A B."""

    def __init__(self, x: torch.Tensor, rows: Rows, ridge: float, rank: int) -> None:
        self.x, self.rank, self.classes = x, rank, len(rows.classes)
        self.width = x.shape[1]
        # The dense binary ridge is on the difference of two opposite columns: twice their norm.
        self.ridge_weight = 2 * ridge if self.classes == 2 else ridge
        self.factor = _preconditioner(x, ridge, intercept=False)

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
        if start is None or start.factors is None or start.factors[0].shape[1] != self.rank:
            raise InputError(f"a fit at rank {self.rank} starts from factors of that rank")
        down, up = (np.asarray(part, dtype=np.float64) for part in start.factors)
        return np.concatenate([(self.factor.T @ down).ravel(), up.ravel(), start.bias])

    def logits(self, theta: Float64) -> torch.Tensor:
        down, up, bias = (torch.as_tensor(p, dtype=self.x.dtype) for p in self._unpack(theta))
        return torch.addmm(bias, self.x @ down, up)

    def gradient(self, theta: Float64, slope: torch.Tensor) -> Float64:
        down, up, _ = self._unpack(theta)
        by_weight = (self.x.T @ slope).double().numpy()
        return self._collect(
            by_weight @ up.T, down.T @ by_weight, slope.double().sum(dim=0).numpy()
        )

    def ridge(self, theta: Float64) -> tuple[float, Float64]:
        down, up, bias = self._unpack(theta)
        weight = down @ up
        weight = weight - weight.mean(axis=1, keepdims=True)
        slope = self.ridge_weight * weight
        value = 0.5 * self.ridge_weight * float((weight**2).sum())
        return value, self._collect(slope @ up.T, down.T @ slope, np.zeros_like(bias))

    def _collect(self, down: Float64, up: Float64, bias: Float64) -> Float64:
        white = scipy.linalg.solve_triangular(self.factor, down, lower=True, check_finite=False)
        return np.concatenate([white.ravel(), up.ravel(), bias])

    def head(self, theta: Float64) -> Head:
        down, up, bias = self._unpack(theta)
        return Head(down @ up, bias.copy(), (down, up.copy()))


def _form(x: torch.Tensor, rows: Rows, rank: int | None, ridge: float) -> Any:
    return _Dense(x, rows, ridge) if rank is None else _LowRank(x, rows, ridge, rank)
