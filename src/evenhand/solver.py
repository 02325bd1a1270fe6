"""Fitting a head on features: full-batch L-BFGS to convergence, along a path of strengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from evenhand.adapter import Adapted, Adapter, Hidden
from evenhand.atoms import Part, atomic_cells, cells_of_atoms
from evenhand.distributed import ALONE, World
from evenhand.errors import InputError
from evenhand.forms import Dense, Form, LowRank, near
from evenhand.gaps import GapTerm
from evenhand.head import Head
from evenhand.lockstep import minimise
from evenhand.objective import Objective
from evenhand.passes import Wanted, fit_in_passes
from evenhand.rows import FloatArray, Rows, require_finite
from evenhand.streaming import Stream
from evenhand.threads import threads_for

Float64 = npt.NDArray[np.float64]
DOUBLE_WIDTH = 64
"""Up to this many features everything is float64; above, products are float32 and sums float64."""
MAX_EVALUATIONS = 3_000
TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-4}
"""Largest entry of the preconditioned gradient at which a fit stops. In float32 a third of it is
rounding: line searches fail there, at ten times the passes and no other decisions."""
PASS_TOLERANCE = 3e-5
"""The same in passes, whose float32 products are summed in float64, chunk by chunk."""
IN_PASSES = 1 << 22
"""Numbers in the features above which heads are fitted in passes: 3 to 10 times as fast there."""
HEAVIEST = 1e30
"""No ridge or strength weighs more: their squares overflow."""
LARGEST = {torch.float64: 1e120, torch.float32: 1e15}
"""Features beyond this overflow: their squares are summed."""
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
        evaluations: of the objective on all rows, for this fit (those on a sample not counted).
        converged: the gradient fell below the tolerance, or rounding ended the fit with less than
            :data:`~evenhand.lockstep.NEGLIGIBLE` left to gain; never where the evaluations ran out.
        passes: how often the features were read whole for this fit and those fitted with it: two
            times an evaluation, or once for all heads where they are fitted in lock step.
    """

    head: Head
    strength: float
    value: float
    evaluations: int
    converged: bool
    adapter: Adapter | None = None
    passes: int = 0

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
    world: World = ALONE,
) -> list[HeadFit]:
    """Fit a head at each strength in turn, each warm-started from the one before.

    Rows of more than :data:`IN_PASSES` numbers are fitted in passes over them, all strengths in
    lock step from the heads of a sample (:mod:`evenhand.passes`): they need not fit in memory.

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


def wants_passes(features: Any) -> bool:
    """Whether features are so many that heads are fitted in passes over them, not held."""
    return bool(features.shape[0] * features.shape[1] > IN_PASSES)


def fit_parts(
    rows: Rows,
    parts: Sequence[Part],
    wanted: Sequence[Wanted],
    atoms: npt.NDArray[Any],
    number: int,
    *,
    ridges: Sequence[float],
    folds: npt.NDArray[Any] | None = None,
    start: Head | None = None,
    rank: int | None = None,
    weights: np.ndarray | None = None,
    intercept: bool = True,
    max_evaluations: int = MAX_EVALUATIONS,
    on_fit: Callable[[], None] | None = None,
    world: World = ALONE,
) -> list[HeadFit]:
    """Fit heads on several parts of the same rows, for several ridges and strengths, in passes.

    Args:
        rows: this process's.
        parts: which rows count, and their penalties; the first leaves none out.
        wanted: the heads; those of one ridge in ascending strength.
        atoms: (N,) the atomic cell of each row, of ``number``; see :mod:`evenhand.streaming`.
        ridges: those that ``wanted`` counts.
        folds: (N,) the fold that holds each row.
        start, rank, weights, intercept, max_evaluations, on_fit, world: as for :func:`fit_path`.
    """
    _check_classes(rows, world)
    classes, width = len(rows.classes), rows.features.shape[1]
    many = world.any(wants_passes(rows.features))
    exact = width <= DOUBLE_WIDTH and (not many or rows.features.dtype == np.float64)
    stream = Stream(
        rows.features,
        rows.labels,
        classes,
        atoms=atoms,
        number=number,
        folds=folds,
        weights=weights,
        dtype=np.float64 if exact else np.float32,
        world=world,
        largest=LARGEST[torch.float64 if exact else torch.float32],
    )

    def make(sample: torch.Tensor, which: int) -> Dense | LowRank:
        if rank is None:
            return Dense(sample, classes, ridges[which], intercept=intercept)
        return LowRank(sample, classes, ridges[which], rank, intercept=intercept)

    tolerance = TOLERANCE[torch.float64] if exact else PASS_TOLERANCE
    if rank is not None and classes > 2:
        tolerance = max(tolerance, LOW_RANK_TOLERANCE)
    found = fit_in_passes(
        stream,
        parts,
        wanted,
        make,
        start,
        tolerance=tolerance,
        max_evaluations=max_evaluations,
        on_fit=on_fit,
    )
    return [
        HeadFit(
            one.head,
            asked.strength,
            one.minimum.value,
            one.minimum.evaluations,
            one.minimum.converged(tolerance),
            passes=stream.passes,
        )
        for asked, one in zip(wanted, found, strict=True)
    ]


def _check(rows: Rows, dtype: torch.dtype) -> None:
    _check_classes(rows)
    require_finite(rows.features, largest=LARGEST[dtype])


def _check_classes(rows: Rows, world: World = ALONE) -> None:
    present = world.sum(np.bincount(rows.labels, minlength=len(rows.classes)))
    if not present.any():
        raise InputError("there are 0 rows to fit a head on")
    if (present > 0).sum() < 2:
        raise InputError(
            f"all {present.sum()} rows have the label {rows.classes[int(present.argmax())]!r}: "
            "a head needs at least two classes to tell apart; give rows of another"
        )


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
