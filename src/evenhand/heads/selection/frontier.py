"""What each bound would be answered with: the candidates that no other betters in both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenhand._base.arrays import Float64, IntArray
from evenhand.criteria import Criterion
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.fair_head import FairHead
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.soundness import decides
from evenhand.heads.selection.worst_cells import TILTED
from evenhand.metrics.bounds import shortfall, upper_bound
from evenhand.metrics.rates import Array, error_metric

MOST_POINTS = 24

SEARCHED = 1.0
"""Standard errors between the estimate of what was searched and what it is taken for, as by the
one-standard-error rule of trees (Breiman et al. 1984)."""


@dataclass(frozen=True)
class PathEstimate:
    """One candidate, as cross-fitting sees it.

    Attributes:
        family: its number.
        index: (strength, offset), by number.
        error: in the rule's metric, in %.
        gap, upper: of the rule's first criterion, and its upper bound.
        chosen: it was.
    """

    family: int
    index: tuple[int, int]
    error: float
    gap: float
    upper: float
    chosen: bool


def frontier(
    fair: FairHead, rule: Rule, most: int | None = MOST_POINTS, *, promised: bool = True
) -> list[PathEstimate]:
    """The lowest error at every upper bound, from the largest on, and the chosen candidate.

    Args:
        fair: what was chosen, and its families.
        rule: by which.
        most: points but the chosen one; of more, evenly spread ones are given. None: all.
        promised: the bounds are what the choice stood on. False: they are estimates, and promise
            nothing (:func:`_estimated`).
    """
    metric = error_metric("f1" if rule.error == "log_loss" else rule.error)
    criterion, least = rule.criteria[0], rule.min_rows
    zero = fair.families[0].offsets.index(0.0)
    transfer = fair.families[0].totals[0, zero]
    error, upper, gaps = [], [], []
    places: list[tuple[int, tuple[int, int]]] = []
    for number, family in enumerate(fair.families):
        deciding = decides(family.totals, transfer) | rule.at_any_cost
        error.append(np.where(deciding, metric(family.totals), np.inf).ravel())
        if promised:
            bound = upper_bound(family.tables, criterion, fair.choice.z, least)
        else:
            bound = _estimated(family, criterion, least)
        upper.append(shortfall(bound.ravel(), criterion))
        gaps.append(upper_bound(family.tables, criterion, 0.0, least).ravel())
        strengths, offsets = family.tables.shape[:2]
        places += [(number, (s, o)) for s in range(strengths) for o in range(offsets)]
    errors, uppers, every_gap = (np.concatenate(each) for each in (error, upper, gaps))
    shown = undominated(errors, uppers)
    if most is not None and len(shown) > most:
        shown = shown[np.unique(np.linspace(0, len(shown) - 1, most).round().astype(int))]
    chosen = (fair.choice.family, fair.choice.index)
    taken = [at for at, place in enumerate(places) if place == chosen]
    shown = np.union1d(shown, taken).astype(np.int64)
    shown = shown[np.argsort(-np.nan_to_num(uppers[shown]), kind="stable")]
    return [
        PathEstimate(
            places[at][0],
            places[at][1],
            float(errors[at]),
            float(every_gap[at]),
            float(shortfall(uppers[at], criterion)),
            places[at] == chosen,
        )
        for at in shown
    ]


def _estimated(family: Candidates, criterion: Criterion, least: int) -> Array:
    """(S, O) the criterion's figure of heads fitted for it; of others one standard error worse.

    Of hundreds that are searched the best looks better than it is. Heads for the worst group or
    cell balance the cells as they are fitted; what an offset adds to them is searched, too.
    """
    figures = upper_bound(family.tables, criterion, SEARCHED, least)
    if TILTED in family.family:
        zero = family.offsets.index(0.0)
        figures[:, zero] = upper_bound(family.tables[:, zero], criterion, 0.0, least)
    return figures


def undominated(error: Float64, upper: Float64) -> IntArray:
    """The places of what no other betters both in error and in upper bound, largest bound first.

    Of equals one is given; what is not finite is none.
    """
    known = np.flatnonzero(np.isfinite(error) & np.isfinite(upper))
    order = known[np.lexsort([error[known], upper[known]])]
    lowest = np.minimum.accumulate(error[order])
    first = np.ones(len(order), dtype=bool)
    first[1:] = lowest[1:] < lowest[:-1]
    return np.asarray(order[first][::-1], dtype=np.int64)
