"""Several promises at once: the confidence of each, and what rows of their own say of all.

A promise at confidence 1 - a is broken in a share a of uses at most, and a promise chosen as the
cheapest within its bound is broken in about that share: its choice spends all of a. So m promises
hold together at 1 - a where each is made at 1 - a / m (Bonferroni), however they depend on each
other. Holm's steps, which would make the second promise at 1 - a / (m - 1) once the first is made,
take the first for true from there on; here it has spent its a / m, and the steps would spend more
than a in all (nearly twice as much where all promises but one are made at the first step).

On rows that no promise was chosen on, the models and with them the statements stand still. There
Holm's method is exact, and loses nothing to Bonferroni's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.metrics.bounds import highest_z
from evenhand.metrics.normal import normal_cdf


def each_confidence(together: float, number: int) -> float:
    """The confidence of each of some promises that all of them hold at ``together``.

    Args:
        together: in (.5, 1).
        number: of promises, 1 at least.

    Raises:
        InputError: out of range.

    Example:
        >>> from evenhand.metrics.together import each_confidence
        >>> round(each_confidence(0.9, 4), 6)
        0.975
    """
    if not 0.5 < together < 1 or number < 1:
        raise InputError(
            f"a confidence lies in (0.5, 1) and there is a promise at least: found {together} for "
            f"{number}"
        )
    return 1 - (1 - together) / number


def kept_p_value(
    table: npt.NDArray[Any], criterion: str | Criterion, limit: float, min_rows: int = 1
) -> float:
    """How likely rows as even as these would be, one-sided, if the limit were not kept.

    The level at which the confidence bound of :func:`evenhand.metrics.upper_bound` meets the limit;
    1 where the criterion's figure is not defined.

    Args:
        table: (G, K, K) counts of rows that the decisions were not chosen on.
        criterion: what is bounded.
        limit: the bound.
        min_rows: a rate of fewer is not compared.

    Example:
        >>> from evenhand.metrics.together import kept_p_value
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> round(kept_p_value(table, "demographic_parity", 0.25), 3)
        0.022
    """
    return float(normal_cdf(-highest_z(table, criterion, limit, min_rows)))


def holm(p_values: Sequence[float] | npt.NDArray[Any]) -> Float64:
    """(m,) p-values adjusted for their number (Holm 1979): all below a hold together at 1 - a.

    The k-th smallest is multiplied by m - k + 1, and is no less than the one before.

    Args:
        p_values: (m,) in [0, 1], of statements that were fixed before these rows were seen.

    Raises:
        InputError: a value that is no probability.

    Example:
        >>> from evenhand.metrics.together import holm
        >>> holm([0.01, 0.04, 0.03])
        array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise InputError(f"p-values are (m,) numbers in [0, 1], found {p_values!r}")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted
