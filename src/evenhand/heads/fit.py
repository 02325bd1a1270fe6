"""Fitting a head on features: full-batch L-BFGS to convergence, along a path of strengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evenhand._base.arrays import Float64, FloatArray, require_finite
from evenhand._base.threads import threads_for
from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.adapter import Adapted, Hidden
from evenhand.heads.gaps import GapTerm
from evenhand.heads.head_fit import (
    DOUBLE_WIDTH,
    LARGEST,
    LOW_RANK_TOLERANCE,
    TOLERANCE,
    HeadFit,
    check_classes,
    wants_passes,
)
from evenhand.heads.lbfgs import minimise
from evenhand.heads.moved_layer import MOVED_EVALUATIONS, MOVED_FLAT, MOVED_TOLERANCE, Moved
from evenhand.heads.objective import Objective
from evenhand.heads.parametrization import Dense, Form, LowRank, start_or_zero
from evenhand.heads.spec import DEFAULT_CONTROL, HEAVIEST, FitControl, HeadSpec
from evenhand.heads.streaming.atomic_cells import Part, Parts, atomic_cells, cells_of_atoms
from evenhand.heads.streaming.fit import fit_parts
from evenhand.heads.streaming.fit_requests import FitRequest
from evenhand.rows import Rows

ADAPTER_TOLERANCE = 1e-4
"""The same for an adapter, whose valleys are flat: its decisions are settled long before."""


def fit_path(
    rows: Rows,
    spec: HeadSpec,
    strengths: Sequence[float] = (0.0,),
    terms: Sequence[GapTerm] = (),
    *,
    weights: np.ndarray | None = None,
    control: FitControl = DEFAULT_CONTROL,
) -> list[HeadFit]:
    """Fit a head at each strength in turn, each warm-started from the one before.

    Rows of more than :data:`IN_PASSES` numbers, and rows that processes share, are fitted in passes
    over them, all strengths in lock step from the heads of a sample
    (:mod:`evenhand.heads.streaming`): they need not fit in memory. Where the rows name a device and
    are many, its passes are made there.

    Args:
        rows: features (N, d), labels and groups; in a world, this process's part of them, and every
            process in this call.
        spec: what is fitted; it must give the ridge.
        strengths: of the penalty; 0 is transfer learning.
        terms: what is to be even (``gaps.gap_terms`` of the same rows, of their weights and of the
            same world).
        weights: (N,) weights of the rows in the log-loss alone, mean 1, beside those that the rows
            themselves have.
        control: where to begin, when to stop.

    Returns:
        A fit for each strength.

    Raises:
        InputError: no rows, a feature that is not finite or too large to square, only one class
            among the labels, a head to start from of another shape, or a setting out of range.

    Example:
        >>> fits = eh.heads.fit_path(rows, eh.heads.HeadSpec(ridge=1e-3))
        >>> fits[0].converged, fits[0].head.weight.shape
        (True, (3, 2))
    """  # noqa: DOC502
    _check_shape(control.start, rows, spec.hidden, "to start from")
    _check_shape(spec.anchor, rows, spec.hidden, "to anchor to")
    _check_strengths(strengths)
    _check_weights(weights, rows)
    if spec.hidden is None and wants_passes(rows):
        atoms, number = atomic_cells(terms, len(rows), rows.world)
        cells = tuple((t, cells_of_atoms(t, atoms, number, rows.world)) for t in terms if t.active)
        requests = [FitRequest(0, float(strength)) for strength in strengths]
        parts = Parts((Part(-1, rows.total_weight, cells),), atoms, number)
        return fit_parts(rows, parts, requests, spec, weights=weights, control=control)
    return _fit_in_memory(rows, spec, strengths, terms, weights, control)


def _fit_in_memory(
    rows: Rows,
    spec: HeadSpec,
    strengths: Sequence[float],
    terms: Sequence[GapTerm],
    weights: np.ndarray | None,
    control: FitControl,
) -> list[HeadFit]:
    dtype = np.dtype(np.float64 if rows.features.shape[1] <= DOUBLE_WIDTH else np.float32)
    check_classes(rows)
    require_finite(rows.features, largest=LARGEST[dtype])
    with threads_for(rows.features.size):
        # Memory-mapped ones cannot be written to: they are read once, into memory.
        x = np.asarray(np.require(rows.features, requirements=["C", "W"]), dtype=dtype)
        own = _in_log_loss(rows, None)
        form = _form(x, len(rows.classes), spec, control.seed, own)
        objective = Objective(rows.labels, terms, weights=_in_log_loss(rows, weights), dtype=dtype)
        if isinstance(form, Dense):
            dense = form

            def value(at: Float64) -> float:
                return objective(dense.logits(at), 0.0)[0] + dense.ridge(at)[0]

            theta = start_or_zero(form, control.start, value)
        else:
            theta = form.pack(control.start)
        tolerance = TOLERANCE[dtype]
        if spec.full:
            tolerance = max(tolerance, MOVED_TOLERANCE)
        elif spec.hidden is not None:
            tolerance = max(tolerance, ADAPTER_TOLERANCE)
        elif spec.rank is not None and len(rows.classes) > 2:
            tolerance = max(tolerance, LOW_RANK_TOLERANCE)
        fits = []
        most = control.max_evaluations
        if spec.full:
            most = min(most, MOVED_EVALUATIONS)
        for strength in strengths:
            theta, fit = _minimise(form, objective, float(strength), theta, tolerance, most)
            fits.append(fit)
            if control.on_fit:
                control.on_fit()
    passes = 2 * sum(fit.evaluations for fit in fits)
    return [replace(fit, passes=passes) for fit in fits]


def _in_log_loss(rows: Rows, weights: np.ndarray | None) -> np.ndarray | None:
    """(N,) what each row counts in the log-loss: its own weight, of mean 1, times ``weights``."""
    if rows.weights is None:
        return weights
    own = rows.weights.values * (len(rows) / rows.weights.values.sum())
    return own if weights is None else own * weights


def _form(
    x: FloatArray, classes: int, spec: HeadSpec, seed: int, weights: np.ndarray | None
) -> Dense | LowRank | Adapted | Moved:
    own = None if weights is None else weights.astype(x.dtype)
    if spec.hidden is not None and spec.full:
        return Moved(x, classes, spec.hidden, spec.anchor, own)
    ridge = spec.require_ridge()
    if spec.hidden is not None:
        return Adapted(x, classes, ridge, spec.hidden, spec.rank or 1, seed, spec.anchor)
    more: dict[str, Any] = {"intercept": spec.intercept, "anchor": spec.anchor}
    if spec.rank is not None:
        return LowRank(x, classes, ridge, spec.rank, **more)
    return Dense(x, classes, ridge, weights=own, **more)


def _check_shape(head: Head | None, rows: Rows, hidden: Hidden | None, purpose: str) -> None:
    width = rows.features.shape[1] if hidden is None else len(hidden.bias)
    expected = (width, len(rows.classes))
    if head is not None and head.weight.shape != expected:
        raise InputError(
            f"the head {purpose} has weight {head.weight.shape}, the rows need {expected} "
            "(features, classes)"
        )


def _check_strengths(strengths: Sequence[float]) -> None:
    for strength in strengths:
        if not 0 <= strength <= HEAVIEST:
            raise InputError(f"the strength must be finite and at least 0, found {strength}")


def _check_weights(weights: np.ndarray | None, rows: Rows) -> None:
    if weights is None:
        return
    number = len(rows)
    if np.shape(weights) != (number,):
        raise InputError(f"weights must have shape ({number},), found {np.shape(weights)}")
    bad = int((~(np.isfinite(weights) & (np.asarray(weights) >= 0))).sum())
    if bad or not rows.world.any(bool(np.any(weights))):
        what = f"{bad} of {number} are negative or not finite" if bad else "all of them are 0"
        raise InputError(f"weights must be at least 0 and finite, with one above 0: {what}")


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

    found = minimise(
        [theta],
        lambda _, points: [value_and_gradient(points[0])],
        tolerance=tolerance,
        max_evaluations=max_evaluations,
        flat=MOVED_FLAT if isinstance(form, Moved) else 0.0,
    )[0]
    adapter = form.adapter(found.at) if isinstance(form, (Adapted, Moved)) else None
    converged = found.converged(tolerance) or (isinstance(form, Moved) and not found.ran_out)
    fit = HeadFit(form.head(found.at), strength, found.value, evaluations, converged, adapter)
    return found.at, fit
