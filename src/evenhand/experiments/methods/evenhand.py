"""evenhand's default: the smallest gap at a small cost, chosen by cross-fitting, guarded."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.criteria import STANDARD, Criterion
from evenhand.experiments.methods.method import Method
from evenhand.finetuning.problem import Fitted, Problem, fitted_head
from evenhand.heads.selection.fair_head import choose_head
from evenhand.heads.selection.menu import head_families
from evenhand.heads.selection.requirements import has_gap
from evenhand.heads.selection.rule import Rule
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.report.record import UNCONVERGED


def chosen(criterion: str | Criterion) -> Method:
    """A method: the default algorithm without a bound (:mod:`evenhand.heads.selection.select`).

    Args:
        criterion: the gap to lessen.
    """
    rule = Rule(criterion=Criterion.parse(criterion))

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        before = sum(problem.path_seconds(c) for c in STANDARD)
        rows = problem.development
        families = head_families(
            rows,
            rule,
            HeadSpec(ridge=problem.ridge, intercept=problem.intercept),
            control=FitControl(start=problem.head, seed=problem.seed),
            known={c: problem.path(c) for c in STANDARD if has_gap(rows, c)},
        )
        fair = choose_head(rows, rule, families, old=None if problem.fresh else problem.head)
        notes = ("the old head was kept",) if fair.fit is None else ()
        if fair.fit is not None and not fair.fit.converged:
            notes = (UNCONVERGED,)
        fitted = fitted_head(
            fair.head, fair.trainable_parameters, notes=notes, shared_seconds=before
        )
        return [(f"cost<={rule.max_cost:g}", fitted)]

    return run
