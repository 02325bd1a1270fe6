"""What a bound costs before it is asked for: the price curve of one set of candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evenhand._base.arrays import IntArray
from evenhand.criteria import Criterion
from evenhand.heads.selection.pool import Pool, rounded_up
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.select import Selection
from evenhand.heads.selection.soundness import Mask
from evenhand.metrics.bounds import counted_groups, parity_error_floor, shortfall
from evenhand.metrics.rates import accuracy

LEVELS = 8
"""About how many bounds lie between the smallest that can be promised and the dearest error."""


BELOW = (0.5, 0.75)
"""Shares of the smallest bound that can be promised, at which the rows it would take are told."""


NEAR = 0.05
"""A bound that spans the curve is left out within this share of one that is told anyhow."""


WORTH_HALVING = 0.1
"""Costs of fewer points of error are not told how to halve: they are noise."""


MOST_TIMES = 20
"""More rows than so many times those at hand are not told: the model of them is too rough."""


@dataclass(frozen=True)
class Price:
    """What is got for a bound on one criterion.

    Attributes:
        bound: the gap to stay within.
        promised: these rows support it.
        error, accuracy: of what is chosen for it, cross-fitted, in %.
        cost: points of error over transfer learning with its threshold tuned.
        gap, upper: of what is chosen, and its upper bound.
        rows: about how many rows in all would promise it (where it is not promised) or promise it
            for half its cost (where it has one); None where none would, or nothing is to be halved.
        least_error: what any classifier gets wrong at least within the bound, in %, whatever it
            reads; 0 but for demographic parity.
    """

    bound: float
    promised: bool
    error: float
    accuracy: float
    cost: float
    gap: float
    upper: float
    rows: int | None
    least_error: float


@dataclass(frozen=True, eq=False)
class PriceCurve:
    """The prices of bounds on one criterion, from one set of cross-fitted candidates.

    Attributes:
        criterion: what is bounded.
        confidence: of each promise.
        rows: how many the candidates were judged on.
        smallest: the best bound that can be promised; infinite where none can.
        floor: the upper bound that decisions as often as transfer learning's have with a gap of 0.
        transfer: transfer learning with its threshold tuned, its upper bound as its bound.
        constant_accuracy: of always deciding the most frequent label, in %.
        prices: by bound, the one that asks for most first; that of half of transfer learning's gap
            is among them.
    """

    criterion: Criterion
    confidence: float
    rows: int
    smallest: float
    floor: float
    transfer: Price
    constant_accuracy: float
    prices: tuple[Price, ...]

    @property
    def half(self) -> Price | None:
        """The price of half of transfer learning's gap; None where that is none to speak of.

        Of a level, of half of what it lacks.
        """
        lacks = half_of(float(shortfall(self.transfer.gap, self.criterion)))
        of_gap = self.criterion.kind == "gap"
        bound = lacks if of_gap else round(self.criterion.highest - lacks, 9)
        return next((price for price in self.prices if price.bound == bound), None)

    @property
    def promised(self) -> tuple[Price, ...]:
        """The prices of the bounds that can be promised."""
        return tuple(price for price in self.prices if price.promised)


def price_curve(
    selection: Selection,
    rule: Rule,
    criterion: Criterion,
    asked: Sequence[float] = (),
) -> PriceCurve:
    """What each bound on ``criterion`` alone costs on the rows that candidates were judged on.

    Every bound is decided as that of a run is: what is shown is what will be had. More rows are
    thought to leave a candidate's gap as it is and to shrink its margin: with n' rows in place of n
    its upper bound is gap + (upper - gap) sqrt(n / n').

    Args:
        selection: what is chosen among.
        rule: what to choose by, its bounds apart.
        criterion: what is bounded.
        asked: bounds to tell the price of beside those that span the curve.
    """
    own = replace(rule, bounds=(), criterion=criterion)
    free = selection.choose(own)
    pool = selection.pool(own, with_old=False)
    scored, smallest = pool.scored, pool.least(criterion)
    able = pool.candidates & pool.deciding
    cheapest = float("nan")
    if able.any() and math.isfinite(smallest):
        best = int(np.flatnonzero(able)[np.argmin(scored.error[able])])
        cheapest = float(scored.upper[criterion][best])

    def least_error(bound: float) -> float:
        return _least_error(pool.cells, scored.totals[0], criterion, bound, rule.min_rows)

    def figure(lacking: float) -> float:
        return lacking if criterion.kind == "gap" else round(criterion.highest - lacking, 9)

    def price(limit: float) -> Price:
        bound = Bound(criterion, figure(limit))
        choice = selection.choose(replace(own, bounds=(bound,)))
        gap, upper = choice.gaps[criterion], choice.uppers[criterion]
        promised = bool(choice.promised)
        enough = able & (scored.gap[criterion] < limit)
        if promised:
            cheap = scored.error - scored.error[scored.tuned] <= choice.cost / 2
            enough &= cheap & (choice.cost >= WORTH_HALVING)
        rows = _rows(pool, criterion, limit, enough)
        figures = choice.error, choice.accuracy, choice.cost, gap, upper
        return Price(bound.limit, promised, *figures, rows, least_error(limit))

    place = scored.tuned
    lacks = float(scored.gap[criterion][place])
    gap, upper = (figure(float(one[criterion][place])) for one in (scored.gap, scored.upper))
    right = 100 * float(accuracy(scored.totals[place]))
    error = float(scored.error[place])
    transfer = Price(upper, False, error, right, 0.0, gap, upper, None, least_error(lacks))
    highest = criterion.highest
    bounds = _levels(smallest, cheapest) if math.isfinite(smallest) else ()
    lacking = [float(shortfall(bound, criterion)) for bound in asked]
    told = {b for b in (half_of(lacks), *lacking, *bounds[:1]) if 0 < b < highest}
    spanning = {b for b in bounds if 0 < b < highest and not any(_near(b, one) for one in told)}
    return PriceCurve(
        criterion,
        rule.confidence,
        int(scored.totals[0].sum()),
        float(shortfall(smallest, criterion)),
        pool.floor(criterion),
        transfer,
        free.constant_accuracy,
        tuple(price(limit) for limit in sorted(told | spanning)),
    )


def half_of(gap: float) -> float:
    """Half of a gap at the digits of a bound that is told; 0 where the gap is undefined."""
    return round(gap / 2, 3) if math.isfinite(gap) else 0.0


def _rows(pool: Pool, criterion: Criterion, limit: float, among: Mask) -> int | None:
    """About how many rows would bring the upper bound of one ``among`` the candidates to a limit.

    None where no number would, where those at hand do, or where it is out of reach.
    """
    gap, upper = (one[criterion][among] for one in (pool.scored.gap, pool.scored.upper))
    if not gap.size:
        return None
    times = float(np.nanmin(((upper - gap) / (limit - gap)) ** 2, initial=math.inf))
    if not 1 < times <= MOST_TIMES:
        return None
    return about(times * float(pool.scored.totals[0].sum()))


def about(number: float) -> int:
    """``number`` to two digits, never less."""
    if number <= 10:
        return math.ceil(number)
    unit = 10 ** (math.floor(math.log10(number)) - 1)
    return math.ceil(number / unit) * unit


def _least_error(
    cells: IntArray, total: IntArray, criterion: Criterion, bound: float, min_rows: int
) -> float:
    """What any classifier pays over all rows, for the groups that count to be within ``bound``."""
    if criterion != Criterion.DEMOGRAPHIC_PARITY or not math.isfinite(bound):
        return 0.0
    counted = cells[counted_groups(cells, criterion, min_rows)]
    share = counted.sum() / max(1, total.sum())
    return float(share) * parity_error_floor(counted, bound)


def _near(bound: float, other: float) -> bool:
    return abs(bound - other) < NEAR * other


def _levels(smallest: float, cheapest: float) -> tuple[float, ...]:
    """Round bounds that span the curve.

    The smallest that can be promised comes first; then two below it, and those up to where a
    smaller bound begins to cost.
    """
    first, last = rounded_up(smallest), rounded_up(max(smallest, cheapest))
    below = [round(first * share, 3) for share in BELOW]
    if last <= first:
        return (first, *below)
    step = _round_step((last - first) / LEVELS)
    ticks = np.arange(math.floor(first / step) + 1, math.ceil(last / step)) * step
    between = [round(float(tick), 6) for tick in ticks if first < tick < last]
    return (first, *below, *between, last)


def _round_step(step: float) -> float:
    """The least of 1, 2 and 5 times a power of ten that is no smaller than ``step``."""
    unit = float(10 ** math.floor(math.log10(step)))
    return next(unit * times for times in (1, 2, 5, 10) if unit * times >= step * (1 - 1e-9))
