"""Whether a promise is kept, broken or yet open, from all that was seen up to a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.auditing.watching.sequence import Cell, Pair, gap_sequence
from evenhand.criteria import Criterion

KEPT, OPEN, BROKEN = "kept", "cannot tell yet", "broken"
STRONGEST = 100.0
"""Rows that the run's own test rows weigh at most, as a guess of the rates to come."""


def share_of(number: int) -> float:
    """The part of all alarms that the series beginning at a window may have: 1/2, 1/6, 1/12, …"""
    return 1 / (number * (number + 1))


@dataclass(frozen=True)
class Verdict:
    """What can be said of one bound.

    Attributes:
        criterion, limit: the bound.
        state: ``KEPT``, ``OPEN`` or ``BROKEN``.
        gap: as it is counted; NaN where no two groups have rows.
        low, high: what it may be.
        rows: that were counted for it.
    """

    criterion: Criterion
    limit: float
    state: str
    gap: float
    low: float
    high: float
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        ends = {"gap": self.gap, "low": self.low, "high": self.high}
        known = {key: None if np.isnan(value) else round(value, 6) for key, value in ends.items()}
        return {"limit": self.limit, "state": self.state, **known, "rows": self.rows}


def judge(
    decided: npt.NDArray[Any],
    labelled: npt.NDArray[Any],
    bounds: Mapping[Criterion, float],
    before: npt.NDArray[Any],
    alarms: float,
) -> list[Verdict]:
    """A verdict on every bound.

    Args:
        decided: (G, K) how often each class was decided.
        labelled: (G, K, K) the same by label, of rows that have one.
        bounds: criterion to limit.
        before: (G, K, K) the run's own decisions, which say what rates to expect.
        alarms: how often a series of looks may say broken of a promise that is kept, or kept of
            one that is broken; all bounds, pairs and classes share it.
    """
    return [
        _verdict(decided, labelled, (criterion, limit), before, alarms / len(bounds))
        for criterion, limit in bounds.items()
    ]


def broken(
    series: Sequence[tuple[int, npt.NDArray[Any], npt.NDArray[Any]]],
    bounds: Mapping[Criterion, float],
    before: npt.NDArray[Any],
    alarms: float,
) -> dict[Criterion, bool]:
    """Whether each bound is broken, by all series that end now, whenever they began.

    The evidence of every series is a non-negative supermartingale under any rates within the
    bound, and so is their sum in parts that add to 1: a change is found by the series that began
    after it, and nothing is paid for looking at all of them at once.

    Args:
        series: of each the number of the window it began at, and (G, K) decided and (G, K, K)
            labelled since.
        bounds, before, alarms: as of :func:`judge`.
    """
    found = {}
    for criterion, limit in bounds.items():
        together = None
        for number, decided, labelled in series:
            pair, _ = _pair(decided, labelled, criterion, before)
            evidence = pair.least_within(limit) + np.log(share_of(number))
            together = evidence if together is None else np.logaddexp(together, evidence)
        level = alarms / len(bounds) / max(1, together.size) if together is not None else 1.0
        found[criterion] = together is not None and bool((together >= -np.log(level)).any())
    return found


def _pair(
    decided: npt.NDArray[Any],
    labelled: npt.NDArray[Any],
    criterion: Criterion,
    before: npt.NDArray[Any],
) -> tuple[Pair, npt.NDArray[np.bool_]]:
    """All pairs of groups and classes, and which of them have rows."""
    labels = range(1, 2) if decided.shape[1] == 2 else range(decided.shape[1])
    counts = [_cells(decided, labelled, criterion, label) for label in labels]
    priors = [_cells(before.sum(axis=1), before, criterion, label) for label in labels]
    one, other = np.array(list(combinations(range(len(decided)), 2))).reshape(-1, 2).T
    rates = tuple(
        (_side(counts, priors, at, one), _side(counts, priors, at, other))
        for at in range(len(counts[0]))
    )
    seen = np.logical_and.reduce([(a.rows > 0) & (b.rows > 0) for a, b in rates])
    return Pair(rates), seen


def _verdict(
    decided: npt.NDArray[Any],
    labelled: npt.NDArray[Any],
    bound: tuple[Criterion, float],
    before: npt.NDArray[Any],
    level: float,
) -> Verdict:
    criterion, limit = bound
    pair, seen = _pair(decided, labelled, criterion, before)
    rows = int(decided.sum() if not criterion.needs_labels else labelled.sum())
    if not seen.any():
        return Verdict(criterion, limit, OPEN, np.nan, 0.0, pair.highest, rows)
    low, high = gap_sequence(pair, level / max(1, pair.gap.size))
    state = OPEN
    if (low > limit).any():
        state = BROKEN
    elif (high <= limit).all():
        state = KEPT
    gap = float(np.max(np.where(seen, pair.gap, -np.inf)))
    return Verdict(criterion, limit, state, gap, float(low.max()), float(high.max()), rows)


Rates = list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]


def _cells(
    decided: npt.NDArray[Any], labelled: npt.NDArray[Any], criterion: Criterion, label: int
) -> Rates:
    """The hits and rows, (G,) each, of the rates of one class that ``criterion`` compares."""
    mine, hits = labelled[:, label].sum(axis=1), labelled[:, label, label]
    others = labelled.sum(axis=(1, 2)) - mine
    of = {
        "selection_rate": (decided[:, label], decided.sum(axis=1)),
        "true_positive_rate": (hits, mine),
        "false_positive_rate": (labelled[:, :, label].sum(axis=1) - hits, others),
    }
    return [of[rate] for rate in criterion.comparison.rates]


def _side(
    counts: Sequence[Rates], priors: Sequence[Rates], rate: int, groups: npt.NDArray[Any]
) -> Cell:
    """One group of every pair and class: (pairs × classes,) counts, and what they may be like."""
    hits = np.concatenate([each[rate][0][groups] for each in counts]).astype(np.float64)
    rows = np.concatenate([each[rate][1][groups] for each in counts]).astype(np.float64)
    old_hits = np.concatenate([each[rate][0][groups] for each in priors]).astype(np.float64)
    old_rows = np.concatenate([each[rate][1][groups] for each in priors]).astype(np.float64)
    weight = np.minimum(1, STRONGEST / np.maximum(old_rows, 1))
    return Cell(hits, rows, (0.5 + weight * old_hits, 0.5 + weight * (old_rows - old_hits)))
