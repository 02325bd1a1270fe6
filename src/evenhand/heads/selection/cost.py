"""What a candidate costs against transfer learning, and how sure that is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from evenhand._base.arrays import IntArray
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.scored import Scored
from evenhand.metrics.rates import Array, ErrorMetric, error_metric

COST_CONFIDENCE = 0.95
"""That fresh rows show no higher cost: error paid unasked is to be surer than a bound asked for."""


MIN_GIVEN = 0.5
"""Where no bound is asked for, each class keeps at least this share of transfer learning's."""


def decides(scored: Scored) -> npt.NDArray[np.bool_]:
    """What gives every class at least half as often as transfer learning does.

    A model that says no to nearly everybody has no gap, and where few are positive it costs little
    error: nobody asks for that one without saying so.
    """
    given = scored.tables.sum(axis=(1, 2))
    return (given >= MIN_GIVEN * given[scored.transfer]).all(axis=1)


def cost_margin(scored: Scored, rule: Rule) -> Array:
    """What the cost of each candidate may be above its estimate on fresh rows, in points.

    A row decided otherwise than by transfer learning moves the error by its label's price, up or
    down: with m such rows of a label the standard error of the cost is at most sqrt(m) prices. The
    sample of as many fresh rows, on which the cost will be seen, has the same noise again.
    """
    if rule.error == "log_loss":
        return np.zeros(len(scored.where))
    prices = _prices(scored.plain, error_metric(rule.error))
    return float(norm.ppf(COST_CONFIDENCE)) * np.sqrt(2 * scored.differing @ prices**2)


def _prices(confusion: IntArray, metric: ErrorMetric) -> Array:
    """(K,) points of error that one more row of each label costs, decided wrongly, not rightly."""
    classes = len(confusion)
    wrong = np.where(np.eye(classes, dtype=bool), -np.inf, confusion).argmax(axis=1)
    one = np.eye(classes, dtype=confusion.dtype)
    prices = [
        metric(confusion + np.outer(one[label], one[wrong[label]]))
        - metric(confusion + np.outer(one[label], one[label]))
        for label in range(classes)
    ]
    return np.asarray(prices, dtype=np.float64)
