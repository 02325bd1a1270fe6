"""evenhand's default: the smallest gap at a small cost, chosen by cross-fitting, guarded."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.criteria import Criterion
from evenhand.experiments.methods.method import Method
from evenhand.finetuning.problem import Fitted, Problem, fitted_head
from evenhand.heads.selection.fair_head import even_out
from evenhand.heads.selection.rule import Rule
from evenhand.report.record import UNCONVERGED


def chosen(criterion: str | Criterion) -> Method:
    """A method: the default algorithm without a bound (:mod:`evenhand.heads.selection.select`).

    Args:
        criterion: the gap to lessen.
    """
    rule = Rule(criterion=Criterion.parse(criterion))

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        before = problem.path_seconds(rule.criterion)
        evened = even_out(
            problem.development,
            rule,
            old=None if problem.fresh else problem.head,
            start=problem.head,
            ridge=problem.ridge,
            families=[problem.path(rule.criterion)],
            seed=problem.seed,
        )
        notes = ("the old head was kept",) if evened.fit is None else ()
        if evened.fit is not None and not evened.fit.converged:
            notes = (UNCONVERGED,)
        fitted = fitted_head(
            evened.head, evened.trainable_parameters, notes=notes, extra={"seconds": before}
        )
        return [(f"cost<={rule.max_cost:g}", fitted)]

    return run
