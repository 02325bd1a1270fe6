"""The smallest rank that costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evenhand.criteria import Criterion
from evenhand.fisher.factorize import compressed_head
from evenhand.head import Head
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.metrics.rates import ErrorMetric, error_metric
from evenhand.rows import Rows

TOLERANCE = 0.5
"""Points of cross-fitted error a low rank may cost over the dense head."""


def choose_rank(
    rows: Rows,
    head: Head,
    *,
    ridge: float,
    tolerance: float = TOLERANCE,
    error: str | ErrorMetric = "f1",
    seed: int = 0,
    on_fit: Callable[[], None] | None = None,
) -> int:
    """The smallest rank whose cross-fitted error is within ``tolerance`` of the dense head's.

    The error falls with the rank but for noise, so the rank is found by bisection.

    Args:
        rows: development rows.
        head: where to begin, dense.
        ridge: of the head.
        tolerance: points of error.
        error: the error's name, or a callable on confusion matrices.
        seed: of the folds.
        on_fit: called after each fit.

    Returns:
        A rank in [1, k - 1]; k - 1 spans every head.
    """
    metric = error_metric(error)

    def crossfitted(rank: int | None) -> float:
        start = head if rank is None else compressed_head(rows, head, rank)
        candidates = crossfit(
            rows,
            HeadSpec(ridge, rank),
            Criterion.EQUALIZED_ODDS,
            grid=CandidateGrid((0.0,), (0.0,)),
            control=FitControl(start, seed, on_fit=on_fit),
        )
        return float(np.asarray(metric(candidates.totals))[0, 0])

    limit = crossfitted(None) + tolerance
    low, high = 1, max(1, min(head.in_features, head.out_features - 1))
    while low < high:
        middle = (low + high) // 2
        if crossfitted(middle) <= limit:
            high = middle
        else:
            low = middle + 1
    return low
