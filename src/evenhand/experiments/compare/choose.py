"""The same rule for every method: which of its settings, and where the threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import FloatArray
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.experiments.methods.method import Settings
from evenhand.experiments.methods.registry import Entry
from evenhand.finetuning.baselines import as_fitted
from evenhand.finetuning.mlp_adapter import adapted_fit, hidden_rows, network_of
from evenhand.finetuning.problem import Fitted, Problem, Queries
from evenhand.finetuning.score import count_decisions
from evenhand.head import Head
from evenhand.heads.selection.candidates import OFFSETS, Candidates
from evenhand.heads.selection.fair_head import adapter_families
from evenhand.heads.selection.folds import folds
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.select import select
from evenhand.heads.spec import FitControl
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import error_metric, gap
from evenhand.report.setting import Setting
from evenhand.rows import Rows

LEVELS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""Gaps to aim at, as shares of transfer learning's, for the frontier."""


LEVEL_ERRORS = ("f1", "accuracy")


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
    entry: Entry,
    problem: Problem,
    fitted: Settings,
    criterion: Criterion,
) -> Menu:
    """The candidates of one method for one criterion.

    All are cross-fitted over train and valid rows together, with the threshold moved where a method
    gives scores that can be; methods marked slow are counted on the valid rows only.
    """
    if entry.evens is not None:
        return _own_menu(entry, problem, criterion)
    return _peer_menu(entry, problem, fitted)


def _own_menu(entry: Entry, problem: Problem, criterion: Criterion) -> Menu:
    adapter = entry.network
    candidates = problem.path(criterion)
    if adapter:
        rule, control = Rule(criterion=criterion), FitControl(problem.head, problem.seed)
        (candidates,) = adapter_families(
            hidden_rows(problem, 1), rule, problem.ridge, control=control
        )

    def pick(index: tuple[int, int]) -> Fitted:
        fit = candidates.head_fit(index)
        return adapted_fit(fit, network_of(problem)) if adapter else as_fitted(fit)

    return Menu(candidates, pick)


def _peer_menu(entry: Entry, problem: Problem, fitted: Settings) -> Menu:
    heads = [one for _, one in fitted]
    movable = all(_movable(one) for one in heads) and len(problem.valid.classes) == 2
    offsets = OFFSETS if movable else (0.0,)
    judged = (
        [(heads, problem.valid, problem.network.valid if problem.network else None)]
        if entry.slow
        else _refitted(entry, problem, [setting for setting, _ in fitted])
    )
    g, k = problem.valid.groups.number, len(problem.valid.classes)
    tables: npt.NDArray[Any] = np.zeros((len(fitted), len(offsets), g, k, k))
    unknown: npt.NDArray[Any] = np.zeros((len(fitted), len(offsets), k, k))
    for some, rows, inputs in judged:
        queries = Queries(rows.features, inputs, rows.groups)
        for s, one in enumerate(some):
            scores = one.predict(queries)
            for o, offset in enumerate(offsets):
                counts = count_decisions(_moved(scores, offset), rows, randomised=one.randomised)
                tables[s, o] += counts.table
                unknown[s, o] += counts.unknown
    candidates = Candidates(
        tuple(float(i) for i in range(len(fitted))),
        offsets,
        tables,
        unknown,
        (),
        Criterion.EQUALIZED_ODDS,
        "settings",
        np.full(len(fitted), np.nan),
    )

    def pick(index: tuple[int, int]) -> Fitted:
        one, offset = heads[index[0]], offsets[index[1]]
        return one if not offset else _shifted(one, offset)

    return Menu(candidates, pick)


def _refitted(
    entry: Entry, problem: Problem, settings: Sequence[Setting | str]
) -> Iterator[tuple[list[Fitted], Rows, None]]:
    """The method fitted on each fold's other rows, and the fold's rows to judge it on."""
    rows = problem.development
    share = len(problem.valid) / len(rows)
    draw = np.random.default_rng(problem.seed)
    for fit, judge in folds(rows, seed=problem.seed):
        order = draw.permutation(fit)
        held = round(share * len(order))
        part = replace(
            problem,
            train=rows[order[held:]],
            valid=rows[order[:held]],
            network=None,
            known_ridge=problem.ridge,
        )
        found = dict(entry.load()(part))
        yield [found[setting] for setting in settings], rows[judge], None


def _movable(fitted: Fitted) -> bool:
    logits = fitted.head is not None or fitted.gives_logits
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


def bounded(one: Menu, rule: Rule, problem: Problem) -> tuple[Setting, Fitted]:
    """The candidate of a method that a rule with bounds chooses, and the row's setting.

    Raises:
        InputError: the rule chose none of the method's candidates.
    """
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
    return Setting.at_bound(" and ".join(map(str, rule.bounds))), fitted


def levelled(
    one: Menu, criterion: Criterion, transfer_gap: float
) -> Iterator[tuple[Setting, Fitted]]:
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
            yield Setting.at_level(criterion, level, metric), one.pick(index)


def development_gap(problem: Problem, head: Head, criterion: Criterion) -> float:
    """A head's gap on the development rows: what levels are shares of."""
    rows = problem.development
    decisions = head.predict(rows.features)
    counts = Counts.of(rows.labels, decisions, rows.groups, rows.classes, rows.weights)
    return float(gap(counts.table, criterion))
