"""What a candidate costs against transfer learning, and how sure that is."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.scored import Scored
from evenhand.heads.selection.soundness import prices
from evenhand.metrics.rates import Array, error_metric

COST_CONFIDENCE = 0.95
"""That the cost is no higher: error paid unasked is to be surer than a bound asked for."""


COUNTED_ALONE = 0.99
"""The confidence of one candidate's cost by which that of a chosen one is as sure as
:data:`COST_CONFIDENCE`, where errors are counted on labels alone. What is chosen looks cheaper than
it is, by .7 standard errors on simulated tasks of three classes. Where half of an error is what a
model of the labels expects, its noise is half of what the margin takes it for, which is room enough
for the choice."""


def upper_cost(scored: Scored, rule: Rule) -> Array:
    """(M,) points of error each candidate costs at most, at :data:`COST_CONFIDENCE`.

    Against transfer learning with its threshold tuned by the same counts for the same error: what a
    threshold alone would gain is no merit of a fairer head, and no room to spend.

    A row decided otherwise than by that moves the error by its label's price, up or down: with m
    such rows of a label, the standard error of the counted cost is at most sqrt(m) prices.
    """
    cost: Array = scored.error - scored.error[scored.tuned]
    if rule.error == "log_loss":
        return cost
    price = prices(scored.totals[scored.tuned], error_metric(rule.error))
    confidence = COST_CONFIDENCE if scored.assisted else COUNTED_ALONE
    margin: Array = float(norm.ppf(confidence)) * np.sqrt(scored.differing @ price**2)
    return cost + margin
