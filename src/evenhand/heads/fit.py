"""Fitting a head on features: full-batch L-BFGS to convergence, along a path of strengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from evenhand._base.arrays import Float64, require_finite
from evenhand._base.distributed import ALONE, World
from evenhand._base.threads import threads_for
from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.adapter import Adapted, Hidden
from evenhand.heads.gaps import GapTerm
from evenhand.heads.head_fit import (
    DOUBLE_WIDTH,
    LARGEST,
    LOW_RANK_TOLERANCE,
    MAX_EVALUATIONS,
    TOLERANCE,
    HeadFit,
    check_classes,
    wants_passes,
)
from evenhand.heads.lbfgs import minimise
from evenhand.heads.objective import Objective
from evenhand.heads.parametrization import Dense, Form, LowRank, near
from evenhand.heads.streaming.atomic_cells import Part, atomic_cells, cells_of_atoms
from evenhand.heads.streaming.fit import fit_parts
from evenhand.heads.streaming.fit_requests import Wanted
from evenhand.rows import Rows

HEAVIEST = 1e30
"""No ridge or strength weighs more: their squares overflow."""


ADAPTER_TOLERANCE = 1e-4
"""The same for an adapter, whose valleys are flat: its decisions are settled long before."""


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
    world: World = ALONE,
) -> list[HeadFit]:
    """Fit a head at each strength in turn, each warm-started from the one before.

    Rows of more than :data:`IN_PASSES` numbers are fitted in passes over them, all strengths in
    lock step from the heads of a sample (:mod:`evenhand.heads.streaming`): they need not fit in
    memory.

    Args:
        rows: features (N, d), labels and groups; with a world, this process's part of them.
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
        world: the processes that share the rows, each with a part of them (of any size, none
            included) and every one in this call; ``terms`` are then of all rows
            (``gaps.gap_terms`` with the same world). All get the same fits.

    Raises:
        InputError: no rows, a feature that is not finite or too large to square, only one class
            among the labels, a head to start from of another shape, or a setting out of range.
    """
    _check_start(start, rows, hidden)
    _check_settings(strengths, ridge, rank, weights, max_evaluations, len(rows), world)
    if hidden is None and (world.size > 1 or wants_passes(rows.features)):
        atoms, number = atomic_cells(terms, len(rows), world)
        cells = tuple((t, cells_of_atoms(t, atoms, number, world)) for t in terms if t.active)
        total = int(world.sum(np.array([len(rows)]))[0])
        return fit_parts(
            rows,
            [Part(-1, total, cells)],
            [Wanted(0, float(strength)) for strength in strengths],
            atoms,
            number,
            ridges=(ridge,),
            start=start,
            rank=rank,
            weights=weights,
            intercept=intercept,
            max_evaluations=max_evaluations,
            on_fit=on_fit,
            world=world,
        )
    dtype = torch.float64 if rows.features.shape[1] <= DOUBLE_WIDTH else torch.float32
    _check(rows, dtype)
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
        if isinstance(form, Dense):
            dense = form

            def value(at: Float64) -> float:
                return objective(dense.logits(at), 0.0)[0] + dense.ridge(at)[0]

            theta = near(form, start, value)
        else:
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
    passes = 2 * sum(fit.evaluations for fit in fits)
    return [replace(fit, passes=passes) for fit in fits]


def _check(rows: Rows, dtype: torch.dtype) -> None:
    check_classes(rows)
    require_finite(rows.features, largest=LARGEST[dtype])


def _check_start(start: Head | None, rows: Rows, hidden: Hidden | None) -> None:
    width = rows.features.shape[1] if hidden is None else len(hidden.bias)
    expected = (width, len(rows.classes))
    if start is not None and start.weight.shape != expected:
        raise InputError(
            f"the head to start from has weight {start.weight.shape}, the rows need {expected} "
            "(features, classes)"
        )


def _check_settings(
    strengths: Sequence[float],
    ridge: float,
    rank: int | None,
    weights: np.ndarray | None,
    max_evaluations: int,
    number: int,
    world: World = ALONE,
) -> None:
    for strength in strengths:
        if not 0 <= strength <= HEAVIEST:
            raise InputError(f"the strength must be finite and at least 0, found {strength}")
    if not 0 <= ridge <= HEAVIEST:
        raise InputError(f"the ridge must be finite and at least 0, found {ridge}")
    if rank is not None and rank < 1:
        raise InputError(f"the rank must be at least 1, found {rank}")
    if max_evaluations < 1:
        raise InputError(f"a fit takes at least 1 evaluation, found {max_evaluations}")
    if weights is None:
        return
    if np.shape(weights) != (number,):
        raise InputError(f"weights must have shape ({number},), found {np.shape(weights)}")
    bad = int((~(np.isfinite(weights) & (np.asarray(weights) >= 0))).sum())
    if bad or not world.any(bool(np.any(weights))):
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
    )[0]
    adapter = form.adapter(found.at) if isinstance(form, Adapted) else None
    converged = found.converged(tolerance)
    fit = HeadFit(form.head(found.at), strength, found.value, evaluations, converged, adapter)
    return found.at, fit
