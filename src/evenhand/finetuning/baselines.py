"""What a user would have done without evenhand: the model as it is, transfer learning, SVDs."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from evenhand.criteria import Criterion
from evenhand.finetuning.problem import Fitted, Problem, fitted_head
from evenhand.finetuning.score import score
from evenhand.finetuning.stage import Stage
from evenhand.fisher.factorize import NoSavingWarning, factorize
from evenhand.fisher.neutralize import Weights, neutralize
from evenhand.heads.fit import fit_path
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.scored import tuned_offset
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.metrics.rates import f1_error
from evenhand.report.record import UNCONVERGED, Record

TRANSFER, TUNED = "transfer", "transfer-tuned"


def baselines(stage: Stage, rank: int | None, weights: Weights) -> list[Record]:
    """The model as it is, transfer learning and the two SVDs, each scored on the test rows."""
    problem = stage.problem
    records = []

    def timed(name: str, make: Callable[[], tuple[str, Fitted]]) -> None:
        began = time.perf_counter()
        setting, fitted = make()
        records.append(score(stage, name, setting, fitted, time.perf_counter() - began))

    if not problem.fresh:
        timed("pretrained", lambda: pretrained(problem)[0])
    timed(TRANSFER, lambda: transfer(problem)[0])

    def low_rank(importance: np.ndarray | None) -> tuple[str, Fitted]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoSavingWarning)
            factors = factorize(problem.head, importance, rank=rank)
        fit = fit_path(
            problem.train,
            HeadSpec(ridge=problem.ridge, rank=factors.rank),
            control=FitControl(start=factors.head),
        )[0]
        return f"rank {factors.rank}", as_fitted(fit)

    timed("svd", lambda: low_rank(None))
    timed("neutralized-svd", lambda: low_rank(neutralize(problem.fisher, weights)))
    return records


def pretrained(problem: Problem) -> Sequence[tuple[str, Fitted]]:
    """The pre-trained model as it is; nothing trains."""
    return [("as-is", fitted_head(problem.head, 0))]


def transfer(problem: Problem) -> Sequence[tuple[str, Fitted]]:
    """Transfer learning: the dense head fine-tuned, the rest frozen (TL in the paper)."""
    return [("dense", as_fitted(problem.dense))]


def transfer_tuned(problem: Problem) -> Sequence[tuple[str, Fitted]]:
    """Transfer learning with the threshold of the lowest cross-fitted error (100 - weighted F1).

    It has the same rows and the same freedom to move its threshold as the fairer heads have: what
    they cost is told against it.
    """
    family = crossfit(
        problem.development,
        HeadSpec(ridge=problem.ridge, intercept=problem.intercept),
        Criterion.EQUALIZED_ODDS,
        grid=CandidateGrid(strengths=(0.0,)),
        control=FitControl(start=problem.head, seed=problem.seed),
    )
    error = np.asarray(f1_error(family.totals[0]))
    return [("tuned", as_fitted(family.head_fit((0, tuned_offset(family, error, "f1")))))]


def as_fitted(fit: HeadFit, *notes: str) -> Fitted:
    """A solver's result as a method's, with a note where it did not converge."""
    if not fit.converged:
        notes = (*notes, UNCONVERGED)
    return fitted_head(fit.head, notes=notes)
