"""What the order of the scores says of each group: the AUC and the share above the median."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evenhand.auditing.counting import Floats, Ints


def auc_of(key: Floats, label: Ints, rows: Ints | Floats, group: Ints, groups: int) -> Floats:
    """(groups,) the share of (positive, negative) pairs in the right order, ties counted half.

    Args:
        key: (n,) scores in ascending order; one may come more than once.
        label: (n,) the class, 0 or 1.
        rows: (n,) how many rows, or their weights.
        group: (n,) in [0, groups], the last where it is unknown.
        groups: how many there are.
    """
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(groups + 1))
    auc = np.full(groups, np.nan)
    for i in range(groups):
        mine = order[ends[i] : ends[i + 1]]
        auc[i] = _auc(key[mine], label[mine], rows[mine])
    return auc


def above_median(key: Floats, rows: Ints | Floats) -> npt.NDArray[np.bool_]:
    """(n,) which of the ascending scores lie above the median of all rows."""
    if not len(key):
        return np.zeros(0, dtype=bool)
    reached = np.cumsum(rows)
    if (rows % 1).any():  # weights: the score at which half of them is reached
        middle = key[np.searchsorted(reached, reached[-1] / 2, side="left")]
        return np.asarray(key > middle)
    low = key[np.searchsorted(reached, (reached[-1] - 1) // 2, side="right")]
    high = key[np.searchsorted(reached, reached[-1] // 2, side="right")]
    return np.asarray(key > low if low == high else key >= high)


def _auc(key: Floats, label: Ints, rows: Ints | Floats) -> float:
    if not len(key):
        return float("nan")
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    positives = np.add.reduceat(rows * (label == 1), starts)
    negatives = np.add.reduceat(rows * (label == 0), starts)
    pairs = float(positives.sum()) * float(negatives.sum())
    if pairs == 0:
        return float("nan")
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / pairs)
