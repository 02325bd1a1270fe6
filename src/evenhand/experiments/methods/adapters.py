"""The head together with a low-rank adapter on the last hidden layer, evened out."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.criteria import Criterion
from evenhand.experiments.methods.method import Method
from evenhand.finetuning.mlp_adapter import adapted_fit, hidden_rows, network_of
from evenhand.finetuning.problem import Fitted, Problem
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.selection.fair_head import ADAPTER_BETA, ADAPTER_RIDGE
from evenhand.heads.spec import FitControl, HeadSpec

STRENGTHS = (0.1, 0.3, 1.0, 3.0)


def adapted(
    criterion: str | Criterion, strengths: Sequence[float] = STRENGTHS, rank: int = 1
) -> Method:
    """A method: adapter and head with the soft-gap penalty, along a path of strengths.

    Args:
        criterion: what to even out.
        strengths: of the penalty.
        rank: of the adapter.
    """

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        hidden = hidden_rows(problem, rank)
        rows = hidden.rows[: len(problem.train)]
        terms = gap_terms(rows.labels, rows.groups, rows.classes, criterion, beta=ADAPTER_BETA)
        fits = fit_path(
            rows,
            HeadSpec(ridge=max(problem.ridge, ADAPTER_RIDGE), rank=rank, hidden=hidden.layer),
            (0.0, *strengths),
            terms,
            control=FitControl(start=problem.head, seed=problem.seed),
        )
        network = network_of(problem)
        return [(f"{fit.strength:g}", adapted_fit(fit, network)) for fit in fits[1:]]

    return run
