"""The ridge with the lowest cross-validated log-loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from evenhand._base.arrays import FloatArray, IntArray
from evenhand._base.distributed import ALONE, World
from evenhand.head import Head
from evenhand.heads.fit import fit_path
from evenhand.heads.head_fit import wants_passes
from evenhand.heads.selection.folds import fold_numbers, folds
from evenhand.heads.streaming.folds import fit_folds, held_out
from evenhand.rows import Rows

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


WIDE_RIDGES = (0.03, 0.1, 0.3, 1.0)


WIDE = 512
"""Above this many features an untuned, small ridge over-fits: heavier ones are tried."""


def choose_ridge(
    rows: Rows,
    *,
    seed: int = 0,
    ridges: Sequence[float] | None = None,
    start: Head | None = None,
    world: World = ALONE,
) -> float:
    """The ridge with the lowest cross-validated log-loss, without any penalty.

    Args:
        rows: what the head will be fitted on.
        seed: of the folds.
        ridges: to choose from; by default five from 1e-5 to 1e-1, or from .03 to 1 above 512
            features.
        start: a head to warm-start from.
        world: the processes that share the rows, as for :func:`evenhand.fit_path`.
    """
    tried = tuple(ridges or (WIDE_RIDGES if rows.features.shape[1] > WIDE else RIDGES))
    losses = np.zeros(len(tried))
    if world.size > 1 or wants_passes(rows.features):
        numbers = fold_numbers(rows, seed=seed, world=world)
        fits = fit_folds(rows, numbers, None, ridges=tried, refit=False, start=start, world=world)
        for fold, judged in held_out(rows, numbers, len(fits)):
            for index, one in enumerate(fits[fold]):
                loss = log_loss(one.head.logits(judged.features), judged.labels)
                losses[index] += loss * len(judged)
        return float(tried[int(world.sum(losses).argmin())])
    for fit, judge in folds(rows, seed=seed):
        judged = rows[judge]
        for index, ridge in enumerate(tried):
            head = fit_path(rows[fit], ridge=ridge, start=start)[0].head
            losses[index] += log_loss(head.logits(judged.features), judged.labels) * len(judge)
    return float(tried[int(losses.argmin())])


def log_loss(logits: FloatArray, labels: IntArray) -> float:
    """Mean of -log p of the labels under softmax logits (N, K)."""
    return float(
        torch.nn.functional.cross_entropy(torch.as_tensor(logits), torch.as_tensor(labels))
    )
