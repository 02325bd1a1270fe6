"""The candidates of one choice, and which of them may be taken for what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.special import ndtri

from evenhand._base.arrays import IntArray
from evenhand.criteria import Criterion
from evenhand.heads.selection.resampling import ZS, Resampling
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.scored import Scored
from evenhand.heads.selection.soundness import Mask, levels_down, no_reference
from evenhand.metrics.bounds import (
    compared_rows,
    counted_groups,
    may_be_noise,
    noise_floor,
    shortfall,
    upper_bound,
)
from evenhand.metrics.effective import effective_tables
from evenhand.metrics.rates import Array

MIN_CELL = 100
"""No promise is made on a cell with fewer rows."""


class Pool:
    """What a rule allows of the candidates; masks are (M,), one entry a candidate.

    Attributes:
        scored: the candidates.
        rule: what to choose by.
        resampling: the candidates' held-out decisions, where the rule asks for them.
        cells: (G, K) rows of each group with each label.
        no_reference: why the old head is nothing to compare with, if there is one.
    """

    def __init__(self, scored: Scored, rule: Rule, resampling: Resampling | None = None) -> None:
        self.scored = scored
        self.rule = rule
        self.resampling = resampling
        self.cells: IntArray = scored.tables[0].sum(axis=-1)
        self.no_reference: str | None = None
        if scored.old is not None:
            old, transfer, tuned = scored.totals[[scored.old, scored.transfer, scored.tuned]]
            self.no_reference = no_reference(old, transfer, tuned)

    def calibrated(self) -> Pool:
        """The same at the critical value by which its bounds are kept on resampled rows."""
        if not self.rule.bounds or self.resampling is None or not self.able_to_promise.any():
            return self
        z = self._critical_value(self.resampling, self.rule.bounds)
        return Pool(self.scored.at(z, self.rule), self.rule, self.resampling)

    def _critical_value(self, resampling: Resampling, bounds: Sequence[Bound]) -> float:
        """By resampling; where that finds none, the two-sided normal quantile."""
        own = slice(None if self.scored.old is None else -1)  # the old head was not cross-fitted
        rule = self.rule
        z = resampling.critical_value(
            bounds,
            rule.confidence,
            able=self.able_to_promise[own],
            gaps={c: gaps[own] for c, gaps in self.scored.gap.items()},
            error=self.scored.error[own] if rule.error == "log_loss" else rule.error,
            min_rows=rule.min_rows,
        )
        return self._cautious if z is None else z

    @property
    def _cautious(self) -> float:
        """The critical value where resampling finds none."""
        return float(ndtri((1 + self.rule.confidence) / 2))

    @property
    def able_to_promise(self) -> Mask:
        """What may be promised if it is within the bounds."""
        enough = min(self.compared.values()) >= MIN_CELL
        return np.asarray(self.candidates & self.deciding & enough)

    @property
    def reference(self) -> int | None:
        """The old head's place, where it is one to compare with."""
        return None if self.no_reference else self.scored.old

    @property
    def asked(self) -> str:
        """The bounds in words."""
        return " and ".join(str(bound) for bound in self.rule.bounds)

    @cached_property
    def candidates(self) -> Mask:
        """What has an error that is known; an old head that is no reference is no candidate."""
        known: Mask = np.isfinite(self.scored.error)
        if self.no_reference:
            known[-1] = False
        return known

    @cached_property
    def allowed(self) -> Mask:
        """By the guard, no candidate with an upper bound above both the old head's and the rule's.

        What is within the bound asked for is as fair as was asked, whatever the old head is.
        """
        allowed = self.candidates.copy()
        if self.rule.guard and self.reference is not None:
            limits = {bound.criterion: bound.most for bound in self.rule.bounds}
            for criterion, upper in self.scored.upper.items():
                enough = limits.get(criterion, -math.inf)
                allowed &= ~((upper > upper[self.reference]) & (upper > enough))
        return allowed

    @cached_property
    def within(self) -> Mask:
        """What is within every bound."""
        within = self.candidates.copy()
        for bound in self.rule.bounds:
            within &= self.scored.upper[bound.criterion] <= bound.most
        return within

    @cached_property
    def deciding(self) -> Mask:
        """What decides every class, or anything at any cost."""
        if self.rule.at_any_cost:
            return np.ones(len(self.scored.where), dtype=bool)
        return self.scored.deciding

    @cached_property
    def compared(self) -> dict[Criterion, int]:
        """The fewest rows of a rate that each criterion compares; 0 where it compares none."""
        least = self.rule.min_rows
        return {c: compared_rows(self.cells_by(c), c, least) for c in self.rule.criteria}

    def cells_by(self, criterion: Criterion) -> IntArray:
        """(G, K) the rows of each group with each label, of what ``criterion`` compares.

        Of weighted rows they are the effective ones.
        """
        return effective_tables(self.scored.tables[:1], criterion, self.scored.squares)[0].sum(-1)

    @cached_property
    def promisable(self) -> Mask:
        """What keeps every bound with confidence, decides, and is judged by enough rows."""
        return np.asarray(self.within & self.able_to_promise)

    @cached_property
    def levels_down(self) -> Mask:
        """What makes every group that counts worse than transfer learning does, tuned or not."""
        counted = np.logical_or.reduce(
            [counted_groups(self.cells_by(c), c, self.rule.min_rows) for c in self.rule.criteria]
        )
        references = self.scored.tables[[self.scored.transfer, self.scored.tuned]]
        return levels_down(self.scored.tables, references, counted)

    def harmless(self, cost: Array) -> Mask:
        """What may be shipped unasked: allowed, cheap, sound, and worse for no group but some.

        Args:
            cost: (M,) over transfer learning, at its upper bound.
        """
        cheap = cost <= self.rule.max_cost
        harmless: Mask = self.allowed & cheap & self.scored.sound & ~self.levels_down
        return harmless

    def fair(self, place: int) -> bool:
        """Whether a candidate's gaps may be noise, and are within the bounds."""
        least = self.rule.min_rows
        noise = (may_be_noise(self._table(place, c), c, min_rows=least) for c in self.rule.criteria)
        return all(noise) and (not self.rule.bounds or bool(self.promisable[place]))

    def floor(self, criterion: Criterion) -> float:
        """The bound that decisions as often as transfer learning's have with a gap of 0."""
        table = self._table(self.scored.transfer, criterion)
        return noise_floor(table, criterion, self.scored.z, self.rule.min_rows)

    def _table(self, place: int, criterion: Criterion) -> IntArray:
        one = self.scored.tables[place]
        return effective_tables(one, criterion, self.scored.squares)

    def attainable(self, criterion: Criterion, *, search: bool = True) -> float:
        """The best bound on ``criterion`` alone that could be promised; infinite where none.

        Args:
            criterion: what is bounded.
            search: where rows are resampled, look for the best bound by its own critical value.
        """
        return float(shortfall(self.least(criterion, search=search), criterion))

    def least(self, criterion: Criterion, *, search: bool = True) -> float:
        """The smallest shortfall by ``criterion`` that could be promised; infinite where none.

        Where rows are resampled each bound has its own critical value, and bounds are tried at
        three digits.
        """
        if self.compared[criterion] < MIN_CELL:
            return math.inf
        able = self.candidates & self.deciding
        if self.resampling is not None and search and able.any():
            return self._searched(
                self.resampling, criterion, self.scored.tables_by(criterion)[able]
            )
        return float(np.nanmin(self.scored.upper[criterion][able], initial=math.inf))

    def _searched(self, resampling: Resampling, criterion: Criterion, tables: IntArray) -> float:
        def smallest(z: float) -> float:
            uppers = shortfall(upper_bound(tables, criterion, z, self.rule.min_rows), criterion)
            return float(np.nanmin(uppers, initial=math.inf))

        highest = round(1000 * criterion.highest) - 1
        ends = smallest(ZS[0]), smallest(max(ZS[-1], self._cautious))
        if not 0 <= ends[0] < highest / 1000:
            return math.inf
        low, high = (max(1, round(1000 * rounded_up(min(end, 9.0)))) for end in ends)
        high = min(high, highest)
        while low < high:
            middle = (low + high) // 2
            bound = Bound(criterion, float(shortfall(middle / 1000, criterion)))
            if smallest(self._critical_value(resampling, [bound])) <= bound.most:
                high = middle
            else:
                low = middle + 1
        return high / 1000

    def why_not(self) -> str:
        """Why no candidate keeps the bounds, and the smallest that could be promised."""
        for criterion, rows in self.compared.items():
            if not rows:
                return f"no two groups have {self.rule.min_rows} rows for each rate of {criterion}"
            if rows < MIN_CELL:
                return f"a rate of {criterion} has only {rows} rows of the {MIN_CELL} it takes"
        if not (self.candidates & self.deciding).any():
            return (
                "every candidate gives a class to fewer than half of those that transfer learning "
                "gives it to"
            )
        limits = {bound.criterion: bound.most for bound in self.rule.bounds}
        smallest = {c: shortfall(rounded_up(self.least(c)), c) for c in limits}
        could = " and ".join(f"{c}{c.sign}{value:.3f}" for c, value in smallest.items())
        if self.within.any():
            why = (
                "what is within it gives a class to fewer than half of those that transfer "
                "learning gives it to"
            )
        elif all(self.least(c) <= limit for c, limit in limits.items()):
            return "each could be promised alone, and no candidate keeps them together"
        else:
            why = f"no candidate's {_sides(self.rule)} bound is within it"
            below = [c for c, most in limits.items() if most < shortfall(self.floor(c), c)]
            if below:
                why += (
                    f" (the noise floor of a model like transfer learning is "
                    f"{self.floor(below[0]):.3f} on these rows)"
                )
        alone = ", each alone" if len(limits) > 1 else ""
        return f"{why}; the {_best(self.rule)} bound that could be promised is {could}{alone}"


def _sides(rule: Rule) -> str:
    """On which side of a figure its bounds lie."""
    sides = {bound.criterion.bounded_by for bound in rule.bounds}
    return sides.pop() if len(sides) == 1 else "confidence"


def _best(rule: Rule) -> str:
    """Which of bounds asks for most."""
    bests = {bound.criterion.best for bound in rule.bounds}
    return bests.pop() if len(bests) == 1 else "best"


def rounded_up(value: float, digits: int = 3) -> float:
    """``value`` at ``digits`` decimals, never below itself: a bound at it holds."""
    scale = 10**digits
    up = math.ceil(round(value * scale, 6)) / scale
    return up if up >= value else (math.ceil(value * scale) + 1) / scale
