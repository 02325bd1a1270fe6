"""What several heads give for the same rows, at once: their log-losses and what they decide.

A block is (B, n) log-odds of two classes, or (B, n, K) logits of more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from scipy.special import logsumexp

from evenhand._base.arrays import Float64, FloatArray, IntArray
from evenhand.heads.selection.thresholds import Thresholds

BLOCK = 1 << 16
"""Numbers in a block: enough that a call costs little beside them, few enough for the cache."""


def blocks(logits: Iterable[FloatArray]) -> Iterator[tuple[slice, FloatArray]]:
    """Which heads, and their block.

    Args:
        logits: of each head in turn, (n, K), or (n,) log-odds of two classes.
    """
    held: list[FloatArray] = []
    first = 0
    for one in logits:
        held.append(one[:, 1] - one[:, 0] if one.ndim == 2 and one.shape[1] == 2 else one)
        if len(held) * held[-1].size >= BLOCK:
            yield slice(first, first + len(held)), np.stack(held)
            first, held = first + len(held), []
    if held:
        yield slice(first, first + len(held)), np.stack(held)


def label_signs(labels: IntArray) -> Float64:
    """(n,) -1 for the second of two classes, 1 for the first."""
    return np.where(labels == 1, -1.0, 1.0)


def losses_of(block: FloatArray, labels: IntArray, signs: Float64) -> Float64:
    """(B, n) -log p of each row's label, whose ``signs`` are :func:`label_signs` the labels."""
    exact = np.asarray(block, dtype=np.float64)
    if exact.ndim == 3:
        truth = np.take_along_axis(exact, labels[None, :, None], axis=2)[..., 0]
        return np.asarray(logsumexp(exact, axis=2) - truth, dtype=np.float64)
    against = signs * exact
    return np.asarray(np.maximum(against, 0) + np.log1p(np.exp(-np.abs(against))))


def log_losses(logits: FloatArray, labels: IntArray) -> Float64:
    """(N,) -log p of each row's label, by logits (N, K)."""
    ((_, block),) = blocks([logits])
    return losses_of(block, labels, label_signs(labels))[0]


def passed_of(block: FloatArray, thresholds: Thresholds) -> IntArray:
    """(B, n) thresholds below each row's log-odds; of more than two classes the class.

    A head decides the second of two classes where its log-odds and the offset sum to more than 0.
    """
    if block.ndim == 3:
        return block.argmax(axis=2).astype(np.int64)
    return thresholds.below(block)
