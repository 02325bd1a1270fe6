"""The bound that each of many candidates may be promised to keep, chosen among them or not.

A critical value covers the noise of one candidate's gap. The candidate that is chosen among
thousands was chosen for its gap too, and is a little less fair than it looks. So a bound stands a
tenth of a standard error farther from its estimate than the normal quantile. Near the noise, where
it hangs on luck whether a promise is made at all, a wider bound would leave the luckiest draws, and
they are kept less often, not more; what helps is fewer candidates to be lucky with. So a bound
below twice the noise floor is promised by no merge of a path's heads, which are four in five of all
candidates. Both were found on draws of populations whose truth is known, and are judged on others
by ``evenhand study coverage``.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from evenhand._base.arrays import IntArray
from evenhand.criteria import Criterion
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.soundness import Mask
from evenhand.metrics.bounds import noise_floor, shortfall, upper_bound
from evenhand.metrics.rates import Array

CHOSEN = 0.1
"""Standard errors that a bound stands farther off than one candidate's, for the choice's sake."""


NEAR_NOISE = 2.0
"""Bounds below so many noise floors are near the noise."""


def with_choice(z: float, rule: Rule) -> float:
    """The critical value of a chosen candidate, where ``z`` is that of one.

    The two-sided quantile that few rows have is wide enough as it is.
    """
    return z if rule.critical != "quantile" else max(z, float(ndtri(rule.confidence)) + CHOSEN)


def kept_bounds(
    tables: IntArray, criterion: Criterion, rule: Rule, z: float, *, moved: Mask, transfer: int
) -> Array:
    """(M,) the smallest shortfall that each candidate may be promised to keep to.

    What is within a bound is within every wider one.

    Args:
        tables: (M, G, K, K) counts.
        criterion: what is bounded.
        rule: how its critical value is found; resampling accounts for merges by itself.
        z: the critical value.
        moved: (M,) the heads of a path that were merged with a group's score.
        transfer: the place of transfer learning, whose decisions tell the noise floor.
    """
    upper = shortfall(upper_bound(tables, criterion, z, rule.min_rows), criterion)
    if rule.critical != "quantile" or not criterion.evens:
        return upper
    floor = shortfall(noise_floor(tables[transfer], criterion, z, rule.min_rows), criterion)
    return np.where(moved, np.maximum(upper, NEAR_NOISE * floor), upper)
