"""Choose one candidate: lowest error within the bound, and never less fair than before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.cost import COST_CONFIDENCE, cost_margin, decides
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.scored import Scored, score_candidates
from evenhand.metrics.bounds import critical_value, may_be_noise, noise_floor
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import Array

MIN_CELL = 100
"""No promise is made on a cell with fewer rows."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What was chosen, and what can be said of it.

    Attributes:
        family: index of the chosen :class:`Candidates`; None where the old head is kept.
        index: (strength, offset) within them.
        kept_old: the old head was kept.
        promised: every bound holds with the confidence asked; None where none was asked.
        reason: why, in a sentence.
        error: cross-fitted error of the choice, in %.
        gaps, uppers: cross-fitted gap and its upper bound, by criterion.
        floors: the smallest bound the rows could support, by criterion.
        attainable: the smallest upper bound any candidate has, by criterion.
        z: the critical value used.
    """

    family: int | None
    index: tuple[int, int] | None
    promised: bool | None
    reason: str
    error: float
    gaps: dict[Criterion, float]
    uppers: dict[Criterion, float]
    floors: dict[Criterion, float]
    attainable: dict[Criterion, float]
    z: float

    @property
    def kept_old(self) -> bool:
        """Whether the old head was kept."""
        return self.family is None


def select(
    families: Sequence[Candidates],
    rule: Rule,
    *,
    features: int,
    old: Counts | None = None,
    old_loss: float | None = None,
    force: tuple[int, tuple[int, int]] | None = None,
) -> Choice:
    """Choose among all candidates of all families, and the old head.

    The error is the rule's; a candidate is within a bound when its gap's upper confidence bound
    is. Within all bounds the lowest error is chosen; if none is within, the smallest upper bound,
    not promised. Without bounds: the smallest gap whose error on fresh rows is, at confidence
    :data:`COST_CONFIDENCE`, at most ``max_cost`` points above transfer learning's (the first
    family at strength 0 and offset 0), among the candidates that still give every class. With
    ``rule.guard`` a candidate whose upper bound exceeds the old head's is out, and where the old
    head's gap may be noise it stays, unless transfer learning lowers the error by more than
    ``max_cost``.

    Args:
        families: candidates with cross-fitted counts; the first is the head's own path.
        rule: what to choose by.
        features: what the head reads, d; with the cells' sizes it sets the critical value.
        old: the old head's counts on the same rows, which it was not trained on.
        old_loss: its mean log-loss, where the rule's error is that.
        force: (family, (strength, offset)) to describe instead of choosing.

    Example:
        >>> grid = eh.heads.CandidateGrid(strengths=(0.0, 1.0, 10.0), offsets=(0.0,))
        >>> spec = eh.heads.HeadSpec(ridge=1e-3)
        >>> candidates = eh.heads.crossfit(rows, spec, "equalized_odds", grid=grid)
        >>> rule = eh.Rule((eh.Bound("equalized_odds", 0.4),))
        >>> eh.heads.select([candidates], rule, features=3).promised
        True

    Raises:
        InputError: there are no candidates, the old head's log-loss is missing where the rule asks
            for it, or the rule's error is undefined for every candidate.
    """
    if not families:
        raise InputError("there are no candidates to choose from")
    if rule.error == "log_loss" and old is not None and old_loss is None:
        raise InputError("the rule's error is log_loss: give the old head's as old_loss")
    cells = _counted(families[0].tables[0, 0].sum(axis=-1), rule.criteria)
    rows = int(families[0].totals[0, 0].sum())
    z = critical_value(rule.confidence, cells, rows, features)
    scored = score_candidates(families, rule, old, old_loss, z)
    floors = {c: noise_floor(scored.tables[scored.transfer], c, z) for c in rule.criteria}
    allowed = _allowed(scored, rule)
    if force is not None:
        chosen, reason = scored.where.index(force), "the strength asked for"
    elif not allowed.any():
        raise InputError("the rule's error is undefined for every candidate")
    elif (fair := _already_fair(scored, rule, allowed)) is not None:
        chosen, reason = fair
    elif rule.bounds:
        chosen, reason = _choose_within(scored, rule, allowed, floors)
    else:
        chosen, reason = _choose_cheap(scored, rule, allowed)
    promised = bool(_within(scored, rule)[chosen]) if rule.bounds else None
    if promised and cells.min() < MIN_CELL:
        promised = False
        reason += f"; not promised, since a cell has only {cells.min()} rows"
    family, index = scored.where[chosen]
    return Choice(
        family,
        index,
        promised,
        reason,
        float(scored.error[chosen]),
        {c: float(values[chosen]) for c, values in scored.gap.items()},
        {c: float(values[chosen]) for c, values in scored.upper.items()},
        floors,
        {
            c: float(np.nanmin(values[allowed], initial=np.inf))
            for c, values in scored.upper.items()
        },
        z,
    )


def _counted(cells: npt.NDArray[np.int64], criteria: Sequence[Criterion]) -> npt.NDArray[np.int64]:
    """The sizes of the cells the criteria compare."""
    sizes = []
    for criterion in criteria:
        if criterion is Criterion.DEMOGRAPHIC_PARITY:
            sizes.append(cells.sum(axis=1))
        elif criterion is Criterion.EQUAL_OPPORTUNITY and cells.shape[1] == 2:
            sizes.append(cells[:, 1])
        else:
            sizes.append(cells.ravel())
    return np.concatenate(sizes)


def _allowed(scored: Scored, rule: Rule) -> npt.NDArray[np.bool_]:
    """What has an error that is known and, by the guard, no upper bound above the old head's."""
    allowed = np.isfinite(scored.error)
    if rule.guard and scored.old is not None:
        for upper in scored.upper.values():
            allowed &= ~(upper > upper[scored.old])
    return allowed


def _within(scored: Scored, rule: Rule) -> npt.NDArray[np.bool_]:
    within = np.ones(len(scored.where), dtype=bool)
    for bound in rule.bounds:
        within &= scored.upper[bound.criterion] <= bound.limit
    return within


def _already_fair(
    scored: Scored, rule: Rule, allowed: npt.NDArray[np.bool_]
) -> tuple[int, str] | None:
    """Keep what is there where its gaps may be noise: fitting noise costs error for nothing."""
    if not rule.guard:
        return None
    transfer, old = scored.transfer, scored.old
    reference = transfer if old is None else old

    def noise(place: int) -> bool:
        return all(may_be_noise(scored.tables[place], c) for c in rule.criteria)

    if not noise(reference) or not _within(scored, rule)[reference]:
        return None
    if old is not None and scored.error[transfer] >= scored.error[old] - rule.max_cost:
        return old, "already fair: the old head's gap may be noise, so the model is left as it was"
    if allowed[transfer] and noise(transfer):
        return transfer, "already fair: transfer learning's gap may be noise, so nothing is evened"
    return None


def _choose_within(
    scored: Scored, rule: Rule, allowed: npt.NDArray[np.bool_], floors: dict[Criterion, float]
) -> tuple[int, str]:
    asked = " and ".join(str(bound) for bound in rule.bounds)
    within = _within(scored, rule) & allowed
    if within.any():
        chosen = _lowest(within, scored.error)
        return chosen, f"the lowest error with {asked} at confidence {rule.confidence:g}"
    # a gap that no two groups define is so for every candidate: it cannot tell them apart
    excess = np.fmax.reduce([scored.upper[b.criterion] / b.limit for b in rule.bounds])
    chosen = _lowest(allowed, excess, scored.error)
    smallest = " and ".join(
        f"{b.criterion}<={scored.upper[b.criterion][chosen]:.3f}" for b in rule.bounds
    )
    unknown = [b.criterion for b in rule.bounds if np.isnan(scored.upper[b.criterion][chosen])]
    if unknown:
        return chosen, (
            f"{asked} is not promised: no two groups have the rows {unknown[0]} compares"
        )
    below = [b for b in rule.bounds if b.limit < floors[b.criterion]]
    why = (
        f"the bound lies below the noise floor of these rows ({floors[below[0].criterion]:.3f})"
        if below
        else "no candidate's upper bound is within it"
    )
    return chosen, (
        f"{asked} is not promised: {why}; chosen is the smallest upper bound, "
        f"and the smallest bound that could be promised is {smallest}"
    )


def _choose_cheap(scored: Scored, rule: Rule, allowed: npt.NDArray[np.bool_]) -> tuple[int, str]:
    cost = scored.error - scored.error[scored.transfer] + cost_margin(scored, rule)
    affordable = allowed & (cost <= rule.max_cost) & decides(scored)
    criterion = rule.criterion
    if affordable.any():
        return _lowest(affordable, scored.gap[criterion], scored.error), (
            f"the smallest {criterion.symbol} at a cost of at most {rule.max_cost:g} points of "
            f"error, at confidence {COST_CONFIDENCE:g}"
        )
    return _lowest(allowed, scored.error), (
        f"no candidate as fair as the old head costs at most {rule.max_cost:g} points of error "
        "over transfer learning; chosen is the lowest error among those as fair"
    )


def _lowest(among: npt.NDArray[np.bool_], *values: Array) -> int:
    """The place, ``among`` those, of the lowest of the first values; of equal ones, the next's.

    Undefined values are equal, and the highest.
    """
    places = np.flatnonzero(among)
    return int(places[np.lexsort([value[places] for value in reversed(values)])[0]])
