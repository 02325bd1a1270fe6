"""Candidates that were never fitted: counts at rates one chooses."""

import numpy as np

from evenhand.head import Head
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.candidates import Candidates
from evenhand.metrics.counts import Counts

CELLS = np.array([[3000, 1500], [6000, 3000]])


def table(tpr, fpr, cells=CELLS):
    """(2, 2, 2) counts of two groups at these rates."""
    chosen = np.stack([np.array(fpr) * cells[:, 0], np.array(tpr) * cells[:, 1]], axis=1)
    return np.round(np.stack([cells - chosen, chosen], axis=-1)).astype(int)


def candidates(tables, offsets=(0.0,), losses=None, criteria="eo"):
    """A family of len(tables) / len(offsets) strengths."""
    shaped = np.array(tables).reshape(-1, len(offsets), *np.shape(tables[0]))
    fits = tuple(
        HeadFit(Head(np.zeros((3, 2)), np.zeros(2)), float(s), 0.0, 1, True)
        for s in range(len(shaped))
    )
    return Candidates(
        tuple(float(s) for s in range(len(shaped))),
        offsets,
        shaped,
        np.zeros((*shaped.shape[:2], *shaped.shape[-2:]), dtype=int),
        fits,
        criteria,
        "head",
        np.array(losses or [0.5] * len(shaped)),
    )


def old(counts):
    return Counts(counts, np.zeros((2, 2), int), ("a", "b"), ("no", "yes"))
