"""The methods that are one linear head on the features: transfer, factorised, evened out.

All are trained to convergence by the same optimiser with the same ridge, so that what differs
between them is the method and not the budget: a factorised head trains at another speed than a
dense one, and stopped early it may look fairer than it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.experiments.methods.method import Method
from evenhand.finetuning.baselines import as_fitted
from evenhand.finetuning.problem import Fitted, Problem, fitted_head
from evenhand.fisher.factorize import NoSavingWarning, compressed_head, factorize
from evenhand.fisher.neutralize import Weights, neutralize
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import GapTerm, gap_terms
from evenhand.heads.spec import FitControl, HeadSpec

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


LOW_RANKS = (2, 4)


def factorised(weights: Weights | None, ranks: Sequence[int] | None = None) -> Method:
    """A method: factorise the head by weighted SVD, then fine-tune both factors (Algorithm 1).

    Args:
        weights: for :func:`evenhand.neutralize`; None is the plain SVD (f+SVD).
        ranks: to run; by default 1 … k - 1 up to 4, and k for two classes (the paper's).
    """

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        importance = None
        if weights is not None:
            importance = neutralize(problem.fisher, weights, seed=problem.seed)
        rows = []
        for rank in ranks or default_ranks(problem):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NoSavingWarning)
                start = factorize(problem.head, importance, rank=rank).head
            fit = fit_path(
                problem.train,
                HeadSpec(ridge=problem.ridge, rank=rank),
                control=FitControl(start=start),
            )[0]
            rows.append((str(rank), as_fitted(fit)))
        return rows

    return run


def compressed(
    criterion: str | Criterion | None = None,
    strengths: Sequence[float] = (0.0,),
    ranks: Sequence[int] | None = None,
) -> Method:
    """A method: the recommended compression (centred, refitted, Kronecker), then fine-tuned.

    Args:
        criterion: what to even out along the way; None for nothing.
        strengths: of the penalty.
        ranks: to run; 2 and 4 by default.
    """

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        require_many_classes(problem)
        train = problem.train
        terms: tuple[GapTerm, ...] = ()
        if criterion is not None:
            terms = gap_terms(train.labels, train.groups, train.classes, criterion)
        rows = []
        for rank in ranks or LOW_RANKS:
            start = compressed_head(train, problem.head, rank)
            path = sorted({0.0, *strengths})
            fits = fit_path(
                train,
                HeadSpec(ridge=problem.ridge, rank=rank),
                path,
                terms,
                control=FitControl(start=start),
            )
            rows += [
                (f"{rank}" if criterion is None else f"{rank}, {fit.strength:g}", as_fitted(fit))
                for fit in fits
                if fit.strength in strengths
            ]
        return rows

    return run


def untrained(problem: Problem) -> Sequence[tuple[str, Fitted]]:
    """Compressions of the pre-trained head as they are, before any fine-tuning (Eq. 4)."""
    require_many_classes(problem)
    head = problem.head
    rows = [("dense", fitted_head(head, 0))]
    for rank in LOW_RANKS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoSavingWarning)
            kinds = {
                "svd": factorize(head, rank=rank).head,
                "neutralized-svd": factorize(head, neutralize(problem.fisher), rank=rank).head,
                "compressed": compressed_head(problem.train, head, rank),
            }
        rows += [(f"{name} {rank}", fitted_head(one, 0)) for name, one in kinds.items()]
    return rows


def require_many_classes(problem: Problem) -> None:
    """Refuse a low rank where it can do nothing.

    Raises:
        InputError: there are two classes.
    """
    if len(problem.train.classes) < 3:
        raise InputError("with two classes rank 1 spans every head: there is nothing to compress")


def default_ranks(problem: Problem) -> tuple[int, ...]:
    """The ranks a comparison runs for this head."""
    d, k = problem.head.weight.shape
    return tuple(rank for rank in (1, 2, 4) if rank <= min(d, k))


def evened(criterion: str | Criterion, strengths: Sequence[float] = STRENGTHS) -> Method:
    """A method: the dense head with the soft-gap penalty, along a path of strengths."""

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        train = problem.train
        terms = gap_terms(train.labels, train.groups, train.classes, criterion)
        fits = fit_path(
            train,
            HeadSpec(ridge=problem.ridge),
            (0.0, *strengths),
            terms,
            control=FitControl(start=problem.head),
        )
        return [(f"{fit.strength:g}", as_fitted(fit)) for fit in fits[1:]]

    return run
