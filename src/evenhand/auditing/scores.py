"""What the order of the scores says of each group: the AUC and the share above the median."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from evenhand.auditing.counting import MOST_VALUES, Ints, ScoreTally

Floats = npt.NDArray[np.float64]


def cell_of(parts: Sequence[Ints]) -> Ints:
    """(n,) one number for each combination of codes of at least -1."""
    cell = np.zeros(len(parts[0]), dtype=np.int64)
    for part in parts:
        cell = cell * (MOST_VALUES + 2) + part + 1
    return cell


def by_group(
    scored: ScoreTally, cells: Ints, group: Ints, label: Ints, groups: int
) -> tuple[Floats, Ints]:
    """The AUC (groups,), and the rows with a score above the median of all rows (groups,).

    Args:
        scored: the settled scores.
        cells, group, label: (n,) the group (``groups`` where unknown) and the class, 0 or 1, of
            every cell of the scores; a cell may come more than once.
        groups: how many groups there are.
    """
    unique, first = np.unique(cells, return_index=True)
    at = first[np.searchsorted(unique, scored.cell)]
    g, y = group[at], label[at]
    above = np.bincount(g, scored.rows * _above_median(scored), minlength=groups + 1)[:groups]
    order = np.lexsort((scored.key, g))
    ends = np.searchsorted(g[order], np.arange(groups + 1))
    auc = np.full(groups, np.nan)
    for i in range(groups):
        mine = order[ends[i] : ends[i + 1]]
        auc[i] = _auc(scored.key[mine], y[mine], scored.rows[mine])
    return auc, np.round(above).astype(np.int64)


def _above_median(scored: ScoreTally) -> npt.NDArray[np.bool_]:
    """Which entries lie above the median of all; entries are in the order of their keys."""
    reached = np.cumsum(scored.rows)
    rows = round(float(reached[-1]))
    low = scored.key[np.searchsorted(reached, (rows - 1) // 2, side="right")]
    high = scored.key[np.searchsorted(reached, rows // 2, side="right")]
    return np.asarray(scored.key > low if low == high else scored.key >= high)


def _auc(key: Ints, label: Ints, rows: Floats) -> float:
    """The share of (positive, negative) pairs in the right order, ties counted half."""
    if not len(key):
        return float("nan")
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    positives = np.add.reduceat(rows * (label == 1), starts)
    negatives = np.add.reduceat(rows * (label == 0), starts)
    pairs = positives.sum() * negatives.sum()
    if pairs == 0:
        return float("nan")
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / pairs)
