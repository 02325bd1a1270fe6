"""Anytime-valid bounds of the gap between two groups, from counts that grow.

For a rate p, of which k of n rows are counted, the mixture of likelihood ratios

    M_n(p) = B(a + k, b + n - k) / B(a, b) / (p^k (1 - p)^(n - k)),  B the beta function,

is a non-negative martingale with mean 1 where p is the true rate, whatever the prior Beta(a, b) is,
so that P(M_n(p) >= 1/α for any n) <= α (Ville). Rows of different cells are independent: the
product of their mixtures is one too. The rates of a pair of groups that keep the product below 1/α
are a confidence sequence for them together; the gaps that those rates can have are one for the gap.
It holds at every look at once, however often and for whatever reason one looks, as long as the rate
of a cell does not change; Howard et al. (Ann. Stat. 49, 2021), Kaufmann and Koolen (JMLR 22, 2021).

Every function takes arrays of any one shape, so that many pairs or many years are done at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, xlog1py, xlogy

from evenhand._base.arrays import Float64


@dataclass(frozen=True, eq=False)
class Cell:
    """The rows of one group that one rate is a share of.

    Attributes:
        hits: (...) how many are counted.
        rows: (...) out of how many.
        prior: the a and b of the mixture, chosen before the first of these rows was seen.
    """

    hits: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float64]
    prior: tuple[npt.NDArray[np.float64] | float, npt.NDArray[np.float64] | float] = (0.5, 0.5)

    @property
    def rate(self) -> Float64:
        """(...) the share; one half without rows."""
        return np.where(self.rows > 0, self.hits / np.maximum(self.rows, 1), 0.5)

    def log_mixture(self, rate: npt.ArrayLike) -> Float64:
        """(...) log M_n at ``rate``."""
        k, n, (a, b) = self.hits, self.rows, self.prior
        known = np.asarray(rate, dtype=np.float64)
        likelihood = xlogy(k, known) + xlog1py(n - k, -known)
        return np.asarray(betaln(a + k, b + n - k) - betaln(a, b) - likelihood)


def least_at(one: Cell, other: Cell, difference: npt.ArrayLike) -> Float64:
    """(...) the least log of the product of the mixtures where ``one`` exceeds ``other`` so much.

    The rates that are likeliest then solve a cubic equation, in closed form (Miettinen and
    Nurminen, Stat. Med. 4, 1985).
    """
    d = np.asarray(difference, dtype=np.float64)
    n, k = one.rows + other.rows, one.hits + other.hits
    with np.errstate(divide="ignore", invalid="ignore"):
        second = ((one.rows + 2 * other.rows) * d - n - k) / (3 * n)
        first = ((other.rows * d - n - 2 * other.hits) * d + k) / n
        last = other.hits * d * (1 - d) / n
        q = second**3 - first * second / 2 + last / 2
        p = np.copysign(np.sqrt(np.maximum(second**2 - first / 3, 0)), q)
        angle = (np.pi + np.arccos(np.clip(np.where(p == 0, 1, q / p**3), -1, 1))) / 3
        rate = np.where(n > 0, 2 * p * np.cos(angle) - second, 0.5)
        rate = np.clip(rate, np.maximum(0, -d), np.minimum(1, 1 - d))
        return one.log_mixture(np.clip(rate + d, 0, 1)) + other.log_mixture(rate)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two groups, and the rates of them that a criterion compares: one, or two whose differences
    add.

    Attributes:
        rates: (one, other) for each rate.
    """

    rates: tuple[tuple[Cell, Cell], ...]

    @property
    def gap(self) -> Float64:
        """(...) as it is counted."""
        return np.asarray(sum(np.abs(one.rate - other.rate) for one, other in self.rates))

    @property
    def highest(self) -> float:
        """The largest gap there can be."""
        return float(len(self.rates))

    def least_within(self, gap: npt.ArrayLike) -> Float64:
        """(...) the least log product over rates whose gap is at most ``gap``."""
        g = np.asarray(gap, dtype=np.float64)
        if len(self.rates) == 1:
            return self._within(0, g)
        return self._golden(lambda share: self._within(0, share) + self._within(1, g - share), g)

    def least_beyond(self, gap: npt.ArrayLike) -> Float64:
        """(...) the least log product over rates whose gap is at least ``gap``."""
        g = np.asarray(gap, dtype=np.float64)
        if len(self.rates) == 1:
            return self._beyond(0, g)
        shape = np.broadcast_shapes(g.shape, self.rates[0][0].hits.shape)
        corners = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)]).reshape(4, 2, *[1] * len(shape))
        first, second = corners[:, 0], corners[:, 1]
        every = np.broadcast_to(g, (4, *shape))
        inside = self._golden(
            lambda share: self._at(0, first * share) + self._at(1, second * (every - share)), every
        ).min(axis=0)
        return np.where(self.gap >= g, self._free(), inside)

    def _free(self) -> Float64:
        return np.asarray(
            sum(
                one.log_mixture(one.rate) + other.log_mixture(other.rate)
                for one, other in self.rates
            )
        )

    def _at(self, rate: int, difference: Float64) -> Float64:
        one, other = self.rates[rate]
        bounded = np.clip(difference, -1, 1)
        return np.where(np.abs(difference) > 1, np.inf, least_at(one, other, bounded))

    def _within(self, rate: int, gap: Float64) -> Float64:
        one, other = self.rates[rate]
        apart = one.rate - other.rate
        return least_at(one, other, np.clip(apart, -np.minimum(gap, 1), np.minimum(gap, 1)))

    def _beyond(self, rate: int, gap: Float64) -> Float64:
        one, other = self.rates[rate]
        apart = one.rate - other.rate
        ends = np.minimum(self._at(rate, gap), self._at(rate, -gap))
        return np.where(np.abs(apart) >= gap, least_at(one, other, apart), ends)

    def _golden(self, value: Callable[[Float64], Float64], gap: Float64) -> Float64:
        """(...) the least of a convex function of a share of the gap, in [0, gap]."""
        shape = np.broadcast_shapes(gap.shape, self.rates[0][0].hits.shape)
        low = np.broadcast_to(np.maximum(0.0, gap - 1), shape).copy()
        high = np.broadcast_to(np.minimum(gap, 1), shape).copy()
        ends = np.minimum(value(low), value(high))
        ratio = (np.sqrt(5) - 1) / 2
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        at_left, at_right = value(left), value(right)
        for _ in range(GOLDEN):
            lower = at_left < at_right
            low, high = np.where(lower, low, left), np.where(lower, right, high)
            new = np.where(lower, high - ratio * (high - low), low + ratio * (high - low))
            at_new = value(new)
            left, right = np.where(lower, new, right), np.where(lower, left, new)
            at_left, at_right = np.where(lower, at_new, at_right), np.where(lower, at_left, at_new)
        return np.minimum(ends, np.minimum(at_left, at_right))


GOLDEN = 24
"""Sections: to one part in a hundred thousand of the gap, where the sum is flat."""
HALVINGS = 20


def gap_sequence(pair: Pair, level: npt.ArrayLike) -> tuple[Float64, Float64]:
    """(...) the lowest and the highest gap that the looks so far do not rule out.

    Args:
        pair: two groups.
        level: (...) what it may be wrong with, over all looks together: α.
    """
    limit = -np.log(np.asarray(level, dtype=np.float64))
    gap, highest = pair.gap, pair.highest
    ends = []
    for beyond in (False, True):
        inside = gap
        outside = np.full(gap.shape, highest if beyond else 0.0)
        least = pair.least_beyond if beyond else pair.least_within
        kept = least(outside) < limit
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            allowed = least(middle) < limit
            inside, outside = np.where(allowed, middle, inside), np.where(allowed, outside, middle)
        ends.append(np.where(kept, highest if beyond else 0.0, inside))
    return ends[0], ends[1]
