"""Fairlearn's reductions: a fair classifier out of reweighted ones (Agarwal et al., 2018)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.criteria import Criterion
from evenhand.errors import MissingExtraError
from evenhand.experiments.methods.logistic import estimator, head_of, known_rows, require_binary
from evenhand.experiments.methods.method import Method
from evenhand.finetuning.problem import Fitted, Problem, Queries, fitted_head
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import accuracy_error, gap
from evenhand.report.setting import Setting
from evenhand.rows import Rows

CRITERIA = (Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY)


EPSILONS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1)


BOUNDS = (0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3)


def exponentiated_gradient(
    criteria: Sequence[Criterion | str] = CRITERIA,
    epsilons: Sequence[float] = EPSILONS,
    iterations: int = 50,
) -> Method:
    """Make fairlearn's ExponentiatedGradient over logistic heads, scored by expectation.

    The result draws one of several heads for every decision; its scores are the probabilities of
    deciding each class, and ``Fitted.randomised`` is set.

    Args:
        criteria: the constraints, each with every ε.
        epsilons: the largest allowed difference of a group's rate to everyone's.
        iterations: at most so many reweighted fits for one ε.
    """

    def run(problem: Problem) -> Sequence[tuple[Setting, Fitted]]:
        known, base = _prepare(problem, "exponentiated-gradient")
        library = _library("exponentiated-gradient")
        settings = []
        for criterion in map(Criterion.parse, criteria):
            for epsilon in epsilons:
                mix = library.ExponentiatedGradient(
                    base, _moment(library, criterion, epsilon), eps=epsilon, max_iter=iterations
                )
                with _quiet():
                    mix.fit(*_arrays(known), sensitive_features=known.groups.codes)
                setting = Setting.evening(criterion, f" eps={epsilon:g}")
                settings.append((setting, _mixture(mix, known)))
        return settings

    return run


def grid_search(
    criteria: Sequence[Criterion | str] = CRITERIA,
    bounds: Sequence[float] = BOUNDS,
    grid_size: int = 81,
    grid_limit: float = 1.5,
) -> Method:
    """Make fairlearn's GridSearch over logistic heads.

    One reweighted head a point of a grid of multipliers; for every bound, the head with the lowest
    error in accuracy on the valid rows whose gap there is within the bound, else the one with the
    smallest gap.

    Args:
        criteria: the constraints, each with every bound.
        bounds: gaps, in the units of the results (ΔEO sums two rates).
        grid_size, grid_limit: how many multipliers, and how large (fairlearn's).
    """

    def run(problem: Problem) -> Sequence[tuple[Setting, Fitted]]:
        known, base = _prepare(problem, "grid-search")
        library = _library("grid-search")
        settings = []
        for criterion in map(Criterion.parse, criteria):
            search = library.GridSearch(
                base, _moment(library, criterion, None), grid_size=grid_size, grid_limit=grid_limit
            )
            with _quiet():
                search.fit(*_arrays(known), sensitive_features=known.groups.codes)
            # A multiplier so large that one label is wanted everywhere gives a constant instead.
            heads = [head_of(each, 2) for each in search.predictors_ if hasattr(each, "coef_")]
            decisions = [head.predict(problem.valid.features) for head in heads]
            error, size = _measure(decisions, problem.valid, criterion)
            for bound in bounds:
                best, kept = cheapest(error, size, bound)
                notes = () if kept else (f"no point of the grid is within {bound:g} on valid",)
                setting = Setting.evening(criterion, f"<={bound:g}")
                settings.append((setting, fitted_head(heads[best], notes=notes)))
        return settings

    return run


def cheapest(error: npt.NDArray[Any], size: npt.NDArray[Any], bound: float) -> tuple[int, bool]:
    """The candidate of the lowest error with a gap within ``bound``, else of the smallest gap.

    Args:
        error, size: (C,) errors and gaps of the candidates; an undefined gap is never within.
        bound: the largest gap wanted.

    Returns:
        its index, and whether the bound is kept.
    """
    filled = np.where(np.isnan(size), np.inf, size)
    within = filled <= bound
    if within.any():
        return int(np.where(within, error, np.inf).argmin()), True
    return int(filled.argmin()), False


def _measure(
    decisions: Sequence[npt.NDArray[np.int64]], rows: Rows, criterion: Criterion
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    counts = [Counts.of(rows.labels, each, rows.groups, rows.classes) for each in decisions]
    error = np.array([float(accuracy_error(each.total)) for each in counts])
    return error, np.array([float(gap(each.table, criterion)) for each in counts])


def _prepare(problem: Problem, method: str) -> tuple[Rows, Any]:
    """The train rows with a known group, and an unfitted classifier with the problem's ridge."""
    require_binary(problem.train, method)
    known = known_rows(problem.train, method)
    return known, estimator(problem.ridge, len(known))


def _library(method: str) -> Any:
    try:
        from fairlearn import reductions
    except ImportError as error:
        raise MissingExtraError("fairlearn", "baselines", method) from error
    return reductions


def _moment(library: Any, criterion: Criterion, epsilon: float | None) -> Any:
    kind = {
        Criterion.EQUALIZED_ODDS: library.EqualizedOdds,
        Criterion.DEMOGRAPHIC_PARITY: library.DemographicParity,
        Criterion.EQUAL_OPPORTUNITY: library.TruePositiveRateParity,
    }[criterion]
    return kind() if epsilon is None else kind(difference_bound=epsilon)


def _arrays(rows: Rows) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    return np.asarray(rows.features, dtype=np.float64), rows.labels


def _mixture(mix: Any, rows: Rows) -> Fitted:
    chosen = [t for t in range(len(mix.predictors_)) if mix.weights_[t] > 0]
    predictors = [mix.predictors_[t] for t in chosen]
    weights = np.array([mix.weights_[t] for t in chosen])
    # Without a linear program's exact zeros the weights still sum to one only up to rounding.
    weights = weights / weights.sum()

    def predict(queries: Queries) -> npt.NDArray[np.float64]:
        features = np.asarray(queries.features, dtype=np.float64)
        positive = np.zeros(len(features))
        for weight, predictor in zip(weights, predictors, strict=True):
            positive += weight * predictor.predict(features)
        return np.column_stack([1 - positive, positive])

    heads = (rows.features.shape[1] + 1) * 2
    return Fitted(
        predict,
        len(chosen) * (heads + 1) - 1,
        randomised=True,
        notes=(f"draws one of {len(chosen)} heads a decision, scored by expectation",),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what fairlearn's own code warns of in normal use."""
    with warnings.catch_warnings():
        # fairlearn 0.15 grows a Series by .at, which pandas 3 deprecates.
        warnings.filterwarnings("ignore", message="Setting a value on a Series via .at")
        warnings.filterwarnings("ignore", message="Setting an item of incompatible dtype")
        yield
