"""evenhand's default: everything that a run chooses among, by the same counts and rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evenhand.criteria import Criterion
from evenhand.experiments.methods.method import Method
from evenhand.finetuning.evidence import chosen_fit, setting_of
from evenhand.finetuning.fitting import Fitting
from evenhand.finetuning.problem import Fitted, Problem
from evenhand.finetuning.request import FinetuneRequest
from evenhand.heads.selection.rule import Rule


def chosen(criterion: str | Criterion) -> Method:
    """A method: the default algorithm without a bound (:mod:`evenhand.heads.selection.select`).

    Args:
        criterion: the gap to lessen.
    """
    rule = Rule(criterion=Criterion.parse(criterion))

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        return [(f"cost<={rule.max_cost:g}", fitted_by(problem, rule))]

    return run


def fitted_by(problem: Problem, rule: Rule) -> Fitted:
    """What a run that is asked for nothing else ships by ``rule``.

    It chooses among heads on the model's own features, those that read several depths where the
    problem has them, and the hidden layer moved too where the model is one of evenhand's MLPs.

    Raises:
        InputError: no two groups can be compared by a criterion of the rule, or too few rows.
    """  # noqa: DOC502
    fair = Fitting.of(problem, FinetuneRequest()).fit(rule)
    notes = ["the old head was kept"] if fair.fit is None else [f"chosen: {setting_of(fair)}"]
    if fair.choice.promised is False:
        notes.append("not promised")
    fitted = chosen_fit(problem, fair)
    return replace(fitted, notes=(*fitted.notes, *notes))
