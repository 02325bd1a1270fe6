"""The same rule for every method: which of its settings, and where the threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evenhand.criteria import Criterion
from evenhand.crossfit import OFFSETS, Candidates
from evenhand.errors import InputError
from evenhand.even import even_out
from evenhand.methods import Entry
from evenhand.methods.adapters import adapted_fit, hidden_rows, network_of
from evenhand.methods.base import Fitted, Problem, Queries, fitted_head
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import error_metric, gap
from evenhand.pipeline import count_decisions
from evenhand.rows import FloatArray
from evenhand.select import Rule, select

LEVELS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""Gaps to aim at, as shares of transfer learning's, for the frontier."""
LEVEL_ERRORS = ("f1", "accuracy")
EVENED = {
    "gap-eo": Criterion.EQUALIZED_ODDS,
    "gap-dp": Criterion.DEMOGRAPHIC_PARITY,
    "gap-eopp": Criterion.EQUAL_OPPORTUNITY,
    "adapter-eo": Criterion.EQUALIZED_ODDS,
    "adapter-dp": Criterion.DEMOGRAPHIC_PARITY,
}
"""evenhand's own methods, which cross-fit, and what each evens out."""


@dataclass(frozen=True, eq=False)
class Menu:
    """A method's candidates with the counts they are chosen by.

    Attributes:
        candidates: strengths are the method's settings, by number.
        pick: (setting, offset) indices to the fitted candidate.
    """

    candidates: Candidates
    pick: Callable[[tuple[int, int]], Fitted]


def menu(
    entry: Entry, problem: Problem, fitted: Sequence[tuple[str, Fitted]], criterion: Criterion
) -> Menu:
    """The candidates of one method for one criterion.

    evenhand's own are cross-fitted over train and valid rows and refitted on both. A peer's are the
    settings it was fitted at on the train rows, counted on the valid rows, with the threshold moved
    where it gives scores that can be.
    """
    if entry.name in EVENED:
        return _own_menu(entry, problem, criterion)
    return _peer_menu(problem, [one for _, one in fitted])


def _own_menu(entry: Entry, problem: Problem, criterion: Criterion) -> Menu:
    adapter = entry.name.startswith("adapter")
    evened = even_out(
        problem.development,
        Rule(criterion=criterion, guard=False),
        start=problem.head,
        ridge=problem.ridge,
        hidden=hidden_rows(problem, 1) if adapter else None,
        seed=problem.seed,
    )
    candidates = evened.families[-1]

    def pick(index: tuple[int, int]) -> Fitted:
        fit = candidates.fit(index)
        return adapted_fit(fit, network_of(problem)) if adapter else fitted_head(fit.head)

    return Menu(candidates, pick)


def _peer_menu(problem: Problem, fitted: Sequence[Fitted]) -> Menu:
    valid = problem.valid
    inputs = problem.network.valid if problem.network else None
    queries = Queries(valid.features, inputs, valid.groups)
    movable = all(_movable(one) for one in fitted) and len(valid.classes) == 2
    offsets = OFFSETS if movable else (0.0,)
    tables, unknown = [], []
    for one in fitted:
        scores = one.predict(queries)
        counts = [
            count_decisions(_moved(scores, offset), valid, randomised=one.randomised)
            for offset in offsets
        ]
        tables.append(np.stack([c.table for c in counts]))
        unknown.append(np.stack([c.unknown for c in counts]))
    candidates = Candidates(
        tuple(float(i) for i in range(len(fitted))),
        offsets,
        np.stack(tables),
        np.stack(unknown),
        (),
        Criterion.EQUALIZED_ODDS,
        "settings",
        np.full(len(fitted), np.nan),
    )

    def pick(index: tuple[int, int]) -> Fitted:
        one, offset = fitted[index[0]], offsets[index[1]]
        return one if not offset else _shifted(one, offset)

    return Menu(candidates, pick)


def _movable(fitted: Fitted) -> bool:
    logits = fitted.head is not None or bool(fitted.extra.get("logits"))
    return logits and not fitted.randomised and not fitted.needs_group


def _moved(scores: FloatArray, offset: float) -> FloatArray:
    """Binary logits with ``offset`` added to the log-odds of the positive class."""
    if not offset:
        return scores
    return np.column_stack([scores[:, 0], scores[:, 1] + offset])


def _shifted(fitted: Fitted, offset: float) -> Fitted:
    def predict(queries: Queries) -> FloatArray:
        return _moved(fitted.predict(queries), offset)

    head = fitted.head.shifted(offset) if fitted.head else None
    return replace(fitted, predict=predict, head=head)


def bounded(one: Menu, rule: Rule, problem: Problem) -> tuple[str, Fitted]:
    """The candidate of a method that a rule with bounds chooses, and the row's setting."""
    choice = select(
        [one.candidates],
        replace(rule, guard=False),
        features=problem.train.features.shape[1],
    )
    if choice.index is None:
        raise InputError("without a guard a candidate is always chosen")
    fitted = one.pick(choice.index)
    if choice.promised is False:
        fitted = replace(fitted, notes=(*fitted.notes, "not promised"))
    return "bound:" + " and ".join(str(bound) for bound in rule.bounds), fitted


def levelled(one: Menu, criterion: Criterion, transfer_gap: float) -> Iterator[tuple[str, Fitted]]:
    """For each level of the gap, the candidate with the lowest error that is estimated within it.

    Args:
        one: a method's candidates.
        criterion: whose gap.
        transfer_gap: transfer learning's, estimated on the same kind of rows.
    """
    gaps = np.nan_to_num(gap(one.candidates.tables, criterion), nan=np.inf)
    for metric in LEVEL_ERRORS:
        errors = np.asarray(error_metric(metric)(one.candidates.totals))
        for level in LEVELS:
            within = gaps <= level * transfer_gap
            if not within.any():
                continue
            flat = int(np.where(within, errors, np.inf).argmin())
            index = (flat // errors.shape[1], flat % errors.shape[1])
            setting = f"level:{criterion.abbreviation}={level:g}:{metric}"
            yield setting, one.pick(index)


def valid_gap(problem: Problem, fitted: Fitted, criterion: Criterion) -> float:
    """A fitted head's gap on the valid rows."""
    valid = problem.valid
    counts = Counts.of(
        valid.labels,
        fitted.predict(Queries(valid.features)).argmax(axis=1),
        valid.groups,
        valid.classes,
    )
    return float(gap(counts.table, criterion))
