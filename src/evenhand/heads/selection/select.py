"""Choose one candidate: lowest error within the bound, and nothing its owner would not sign for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evenhand._base.arrays import Float64
from evenhand.errors import InputError
from evenhand.heads.selection.assisted import label_model
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.choice import Choice
from evenhand.heads.selection.cost import COST_CONFIDENCE, upper_cost
from evenhand.heads.selection.pool import Pool
from evenhand.heads.selection.promising import with_choice
from evenhand.heads.selection.resampling import Resampling
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.scored import score_candidates
from evenhand.heads.selection.soundness import constant_accuracy
from evenhand.metrics.bounds import compared_rows, counted_groups, critical_value, shortfall
from evenhand.metrics.counts import Counts
from evenhand.metrics.effective import effective_tables
from evenhand.metrics.rates import Array, accuracy

NEAR = 1.2
"""Upper bounds within this factor of the smallest are as good as it, where none is promised."""


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
    is and it still decides every class (:func:`~evenhand.heads.selection.soundness.decides`).
    Within all bounds the lowest error is chosen, and promised. If none is within, nothing is
    promised, and only what does no harm is taken: it costs at most ``max_cost`` points over
    transfer learning with its threshold tuned, at confidence :data:`COST_CONFIDENCE`; it is sound;
    it does not make every group worse. Among those, the lowest error of the upper bounds that are
    within a fifth of the smallest. Without bounds: of the harmless ones the smallest gap.

    Where transfer learning's gap may be noise nothing is evened: it is chosen, or that on other
    features where its gap is no worse and its error lower by more than ``max_cost``.

    With ``rule.guard`` a candidate whose upper bound exceeds the old head's and the bound is out,
    and where the old head's gap may be noise it stays, unless transfer learning lowers the error by
    more than ``max_cost``. An old head that is no better than a constant is not compared with.

    Args:
        families: candidates with cross-fitted counts; the first is the head's own path.
        rule: what to choose by.
        features: what the head reads, d; with the rows it sets the critical value.
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
    """  # noqa: DOC502
    return Selection(tuple(families), features, old, old_loss).choose(rule, force=force)


@dataclass(frozen=True, eq=False)
class Selection:
    """Candidates to choose among, by one rule or by several: what they share is computed once.

    Attributes:
        families: candidates with cross-fitted counts; the first is the head's own path.
        features: what the head reads, d.
        old: the old head's counts on the same rows, which it was not trained on.
        old_loss: its mean log-loss.
    """

    families: tuple[Candidates, ...]
    features: int
    old: Counts | None = None
    old_loss: float | None = None

    def choose(self, rule: Rule, *, force: tuple[int, tuple[int, int]] | None = None) -> Choice:
        """Choose one candidate: see :func:`select`.

        Raises:
            InputError: there are no candidates, the old head's log-loss is missing where the rule
                asks for it, or the rule's error is undefined for every candidate.
        """
        if not self.families:
            raise InputError("there are no candidates to choose from")
        if rule.error == "log_loss" and self.old is not None and self.old_loss is None:
            raise InputError("the rule's error is log_loss: give the old head's as old_loss")
        pool = self.pool(rule).calibrated()
        if not pool.allowed.any():
            raise InputError("the rule's error is undefined for every candidate")
        if force is not None:
            chosen, reason = pool.scored.where.index(force), "the strength asked for"
        elif (left := _left_alone(pool)) is not None:
            chosen, reason = left
        elif rule.bounds:
            chosen, reason = _choose_within(pool)
        else:
            chosen, reason = _choose_cheap(pool)
        promised = bool(pool.promisable[chosen]) if rule.bounds else None
        return _described(pool, chosen, reason, promised)

    def pool(self, rule: Rule, z: float | None = None, *, with_old: bool = True) -> Pool:
        """What a rule allows, at its first critical value, or at ``z``."""
        z = starting_value(self.families, rule, self.features) if z is None else z
        old, loss = (self.old, self.old_loss) if with_old else (None, None)
        assisted = rule.assisted and rule.error != "log_loss"
        probability = self._probability if assisted else None
        scored = score_candidates(self.families, rule, old, loss, z, probability)
        if rule.critical != "resampled":
            return Pool(scored, rule)
        return Pool(scored, rule, self._assisted if assisted else self._counted)

    @cached_property
    def _probability(self) -> Float64 | None:
        return label_model(self.families)

    @cached_property
    def _assisted(self) -> Resampling | None:
        return self._resampling(self._probability)

    @cached_property
    def _counted(self) -> Resampling | None:
        return self._resampling(None)

    def _resampling(self, probability: Float64 | None) -> Resampling | None:
        """The held-out decisions, where all families have them."""
        known = [one.decisions for one in self.families if one.decisions is not None]
        if len(known) < len(self.families):
            return None
        return Resampling(known, probability)


def starting_value(families: Sequence[Candidates], rule: Rule, features: int) -> float:
    """The critical value before any rows are resampled."""
    total = families[0].totals[0, 0]
    smallest = None
    if rule.critical == "small cells":
        plain, squares = families[0].tables[0, 0], families[0].squares
        smallest = min(
            compared_rows(effective_tables(plain, c, squares).sum(axis=-1), c, rule.min_rows)
            for c in rule.criteria
        )
    one = critical_value(rule.confidence, int(total.sum()), features, smallest)
    return with_choice(one, rule)


def _described(pool: Pool, chosen: int, reason: str, promised: bool | None) -> Choice:
    scored, rule = pool.scored, pool.rule
    family, index = scored.where[chosen]
    return Choice(
        family,
        index,
        promised,
        reason,
        float(scored.error[chosen]),
        float(scored.error[chosen] - scored.error[scored.tuned]),
        100 * float(accuracy(scored.totals[chosen])),
        100 * constant_accuracy(scored.totals[chosen]),
        (0, scored.tuned),
        {c: float(shortfall(values[chosen], c)) for c, values in scored.gap.items()},
        {c: float(shortfall(values[chosen], c)) for c, values in scored.upper.items()},
        {c: counted_groups(pool.cells_by(c), c, rule.min_rows) for c in rule.criteria},
        {c: pool.floor(c) for c in rule.criteria},
        {c: pool.attainable(c, search=promised is False) for c in rule.criteria},
        bool(pool.levels_down[chosen]),
        pool.no_reference,
        scored.z,
    )


def _left_alone(pool: Pool) -> tuple[int, str] | None:
    """Keep what is there where its gaps may be noise: fitting noise costs error for nothing."""
    scored, rule = pool.scored, pool.rule
    if not any(pool.compared.values()):
        asked = f"{pool.asked} is not promised: " if rule.bounds else ""
        criterion = rule.criteria[0]
        why = f"no two groups have {rule.min_rows} rows for each rate of {criterion}"
        if pool.reference is not None and not _much_better(pool, pool.reference):
            return pool.reference, f"{asked}{why}; the old head is left as it was"
        return scored.tuned, f"{asked}{why}; this is transfer learning"
    if not rule.guard:
        return None
    if pool.reference is not None:
        if not pool.fair(pool.reference):
            return None
        if not _much_better(pool, pool.reference):
            return pool.reference, (
                "already fair: the old head's gap may be noise, so the model is left as it was"
            )
    for place in (scored.tuned, scored.transfer):
        cheap = scored.error[place] <= scored.error[scored.tuned] + rule.max_cost
        if pool.allowed[place] and cheap and pool.fair(place):
            return _better_unevened(pool, place), (
                "already fair: transfer learning's gap may be noise, so nothing is evened"
            )
    return None


def _better_unevened(pool: Pool, place: int) -> int:
    """Transfer learning on other features, within the bounds, or as fair, and far better."""
    scored = pool.scored
    other = np.array([family not in (None, 0) for family, _ in scored.where])
    sound = pool.allowed & scored.sound & ~pool.levels_down & scored.unevened
    better = scored.error < scored.error[place] - pool.rule.max_cost
    places = np.flatnonzero(other & sound & better)
    ordered = places[np.argsort(scored.error[places], kind="stable")]
    within = pool.promisable.__getitem__ if pool.rule.bounds else pool.fair
    return next((int(one) for one in ordered if within(int(one))), place)


def _much_better(pool: Pool, old: int) -> bool:
    """Whether transfer learning lowers the old head's error by more than ``max_cost``."""
    error = pool.scored.error
    return bool(error[pool.scored.tuned] < error[old] - pool.rule.max_cost)


def _choose_within(pool: Pool) -> tuple[int, str]:
    scored, rule = pool.scored, pool.rule
    if pool.promisable.any():
        chosen = _lowest(pool.promisable, scored.error)
        return chosen, f"the lowest error with {pool.asked} at confidence {rule.confidence:g}"
    why = f"{pool.asked} is not promised: {pool.why_not()}"
    # a gap that no two groups define is so for every candidate: it cannot tell them apart
    excess = np.fmax.reduce([scored.upper[b.criterion] / b.most for b in rule.bounds])
    if rule.at_any_cost:
        return _lowest(pool.allowed, excess, scored.error), (
            f"{why}; chosen is the smallest upper bound, at any cost"
        )
    harmless = pool.harmless(upper_cost(scored, rule))
    if harmless.any():
        near = harmless & ~(excess > NEAR * np.nanmin(excess[harmless], initial=np.inf))
        return _lowest(near, scored.error), (
            f"{why}; chosen is the lowest error near the smallest upper bound that costs at most "
            f"{rule.max_cost:g} points of error, at confidence {COST_CONFIDENCE:g}"
        )
    chosen, reason = _least_harm(pool)
    return chosen, f"{why}; {reason}"


def _choose_cheap(pool: Pool) -> tuple[int, str]:
    scored, rule = pool.scored, pool.rule
    affordable = pool.harmless(upper_cost(scored, rule))
    if affordable.any():
        return _lowest(affordable, scored.gap[rule.criterion], scored.error), (
            f"the {rule.criterion.best} {rule.criterion.symbol} at a cost of at most "
            f"{rule.max_cost:g} points of error, at confidence {COST_CONFIDENCE:g}"
        )
    return _least_harm(pool)


def _least_harm(pool: Pool) -> tuple[int, str]:
    """Where nothing is both harmless and allowed: transfer learning, or as fair as the old head."""
    scored = pool.scored
    if pool.reference is None:
        return scored.tuned, "no other candidate does no harm, so this is transfer learning"
    among = pool.allowed & scored.sound
    among[pool.reference] = True
    cheap = pool.allowed & (upper_cost(scored, pool.rule) <= pool.rule.max_cost)
    why = (
        "does no harm: each hardly decides or makes every group worse, or costs more"
        if cheap.any()
        else f"costs at most {pool.rule.max_cost:g} points of error over transfer learning, at "
        f"confidence {COST_CONFIDENCE:g}"
    )
    return _lowest(among, scored.error), (
        f"no candidate as fair as the old head {why}; chosen is the lowest error among those as "
        "fair"
    )


def _lowest(among: np.ndarray, *values: Array) -> int:
    """The place, ``among`` those, of the lowest of the first values; of equal ones, the next's.

    Undefined values are equal, and the highest.
    """
    places = np.flatnonzero(among)
    return int(places[np.lexsort([value[places] for value in reversed(values)])[0]])
