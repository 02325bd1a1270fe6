"""Fitting a head on features: full-batch L-BFGS to convergence, along a path of strengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.optimize
import torch

from evenhand.adapter import Adapted, Adapter, Hidden
from evenhand.errors import InputError
from evenhand.forms import Dense, Form, LowRank
from evenhand.gaps import GapTerm
from evenhand.head import Head
from evenhand.objective import Objective
from evenhand.rows import FloatArray, Rows
from evenhand.threads import threads_for

Float64 = npt.NDArray[np.float64]
DOUBLE_WIDTH = 64
"""Up to this many features everything is float64; above, products are float32 and sums float64."""
MAX_EVALUATIONS = 3_000
TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-4}
"""Largest entry of the preconditioned gradient at which a fit stops. In float32 a third of it is
rounding: line searches fail there, at ten times the passes and no other decisions."""
CONVERGED = 3e-3
"""The same at which a fit that could go no further has converged, at most."""
LOW_RANK_TOLERANCE = 3e-5
"""The same for factors of three or more classes, which converge slowly: the objective is then
within 1e-5 of its end, the error within .01 points."""
ADAPTER_TOLERANCE = 1e-4
"""The same for an adapter, whose valleys are flat: its decisions are settled long before."""


@dataclass(frozen=True, eq=False)
class HeadFit:
    """A fitted head and how the fit went.

    Attributes:
        head: the head, in float64.
        adapter: the low-rank change to the last hidden layer, where one was fitted.
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
    adapter: Adapter | None = None

    def logits(self, inputs: FloatArray) -> FloatArray:
        """(N, K) logits: of features, or of the hidden layer's inputs where there is an adapter."""
        return self.head.logits(self.adapter(inputs) if self.adapter else inputs)

    @property
    def trainable_parameters(self) -> int:
        """What trains: the head's numbers and the adapter's."""
        extra = self.adapter.trainable_parameters if self.adapter else 0
        return self.head.trainable_parameters + extra


def fit_path(
    rows: Rows,
    strengths: Sequence[float] = (0.0,),
    terms: Sequence[GapTerm] = (),
    *,
    ridge: float,
    start: Head | None = None,
    rank: int | None = None,
    hidden: Hidden | None = None,
    seed: int = 0,
    weights: np.ndarray | None = None,
    intercept: bool = True,
    max_evaluations: int = MAX_EVALUATIONS,
    on_fit: Callable[[], None] | None = None,
) -> list[HeadFit]:
    """Fit a head at each strength in turn, each warm-started from the one before.

    Args:
        rows: features (N, d), labels and groups.
        strengths: of the penalty; 0 is transfer learning.
        terms: what is to be even (``gaps.gap_terms`` of the same rows).
        ridge: of 1/2 ridge ||w||²; for two classes w is the difference of W's columns.
        start: where to begin; zero by default. A low-rank head starts a low-rank fit.
        rank: fit W = A B at this rank instead of a dense W; with ``hidden``, the adapter's rank.
        hidden: the last hidden layer; given, the rows' features are *its* inputs, and a low-rank
            adapter on it is fitted together with a dense head.
        seed: of the adapter's first directions.
        weights: (N,) weights of the rows in the log-loss, mean 1.
        intercept: fit a bias; without one it stays 0 (an adapter's head always has one).
        max_evaluations: passes over the features at which a fit is stopped, converged or not.
        on_fit: called after each strength, for a progress bar.

    Raises:
        InputError: no rows, a feature that is not finite, only one class among the labels, or a
            head to start from of another shape.
    """
    _check(rows)
    _check_start(start, rows, hidden)
    dtype = torch.float64 if rows.features.shape[1] <= DOUBLE_WIDTH else torch.float32
    with threads_for(rows.features.size):
        # torch warns of arrays that cannot be written to, such as memory-mapped ones: a copy then.
        x = torch.as_tensor(np.require(rows.features, requirements=["C", "W"]), dtype=dtype)
        classes = len(rows.classes)
        form: Dense | LowRank | Adapted
        if hidden is not None:
            form = Adapted(x, classes, ridge, hidden, rank or 1, seed)
        elif rank is not None:
            form = LowRank(x, classes, ridge, rank, intercept=intercept)
        else:
            form = Dense(x, classes, ridge, intercept=intercept)
        objective = Objective(rows.labels, terms, weights=weights, dtype=dtype)
        theta = form.pack(start)
        tolerance = TOLERANCE[dtype]
        if hidden is not None:
            tolerance = max(tolerance, ADAPTER_TOLERANCE)
        elif rank is not None and classes > 2:
            tolerance = max(tolerance, LOW_RANK_TOLERANCE)
        fits = []
        for strength in strengths:
            theta, fit = _minimise(
                form, objective, float(strength), theta, tolerance, max_evaluations
            )
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


def _check_start(start: Head | None, rows: Rows, hidden: Hidden | None) -> None:
    width = rows.features.shape[1] if hidden is None else len(hidden.bias)
    expected = (width, len(rows.classes))
    if start is not None and start.weight.shape != expected:
        raise InputError(
            f"the head to start from has weight {start.weight.shape}, the rows need {expected} "
            "(features, classes)"
        )


def _minimise(
    form: Form,
    objective: Objective,
    strength: float,
    theta: Float64,
    tolerance: float,
    max_evaluations: int,
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
            "maxfun": max_evaluations,
            "maxiter": max_evaluations,
        },
    )
    steepest = float(np.abs(found.jac).max(initial=0))
    converged = bool(steepest <= min(100 * tolerance, CONVERGED))
    adapter = form.adapter(found.x) if isinstance(form, Adapted) else None
    fit = HeadFit(form.head(found.x), strength, float(found.fun), evaluations, converged, adapter)
    return found.x, fit
