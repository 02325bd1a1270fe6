"""The ridge with the lowest cross-validated log-loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from evenhand._base.arrays import FloatArray, IntArray
from evenhand.heads.selection.parts import fit_parts_of
from evenhand.heads.spec import DEFAULT_CONTROL, FitControl, HeadSpec
from evenhand.rows import Rows

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


WIDE_RIDGES = (0.03, 0.1, 0.3, 1.0)


WIDE = 512
"""Above this many features an untuned, small ridge over-fits: heavier ones are tried."""


def choose_ridge(
    rows: Rows,
    *,
    ridges: Sequence[float] | None = None,
    control: FitControl = DEFAULT_CONTROL,
) -> float:
    """The ridge with the lowest cross-validated log-loss, without any penalty.

    Args:
        rows: what the head will be fitted on.
        ridges: to choose from; by default five from 1e-5 to 1e-1, or from .03 to 1 above 512
            features.
        control: where to begin, the folds' seed.

    Raises:
        InputError: too few rows or classes, or features that are not finite.

    Example:
        >>> 1e-5 <= eh.heads.choose_ridge(rows) <= 1e-1
        True
    """
    tried = tuple(ridges or (WIDE_RIDGES if rows.features.shape[1] > WIDE else RIDGES))
    losses = np.zeros(len(tried))
    for fits, judged in fit_parts_of(
        rows, HeadSpec(), None, ridges=tried, strengths=(0.0,), refit=False, control=control
    ):
        if judged is not None:
            for index, fit in enumerate(fits):
                loss = log_loss(fit.head.logits(judged.features), judged.labels)
                losses[index] += loss * len(judged)
    return float(tried[int(rows.world.sum(losses).argmin())])


def log_loss(logits: FloatArray, labels: IntArray) -> float:
    """Mean of -log p of the labels under softmax logits (N, K)."""
    return float(
        torch.nn.functional.cross_entropy(torch.as_tensor(logits), torch.as_tensor(labels))
    )
