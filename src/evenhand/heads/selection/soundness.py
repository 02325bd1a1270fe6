"""What no owner would sign for: hardly deciding, worse than a constant, worse for every group."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from evenhand._base.arrays import IntArray
from evenhand.metrics.rates import (
    Array,
    ErrorMetric,
    accuracy,
    accuracy_error,
    balanced_error,
    false_positive_rate,
    true_positive_rate,
)

Mask = npt.NDArray[np.bool_]


MIN_GIVEN = 0.5
"""Each class keeps at least this share of what transfer learning gives it."""


NOTICEABLE = 0.01
"""A rate worse by less than this (one in a hundred rows of its cell) is not called worse."""


MIN_SKILL = 2 / 3
"""An old head is one to compare with if it has this share of transfer learning's lead over the
constant classifier."""


SURE = 0.95
"""How sure the old head's lead over the constant classifier must be."""


def decides(totals: IntArray, transfer: IntArray) -> Mask:
    """(...,) what gives every class at least half as often as transfer learning does.

    A model that says no to nearly everybody has no gap, and where few are positive it costs little
    error: nobody asks for that one without saying so.

    Args:
        totals: (..., K, K) confusion matrices.
        transfer: (K, K) transfer learning's; or (R, K, K), with its threshold where the fit left it
            and tuned, of which the one that gives a class more often counts.
    """
    return gives_enough(totals.sum(axis=-2), transfer)


def gives_enough(given: npt.NDArray[Any], transfer: IntArray) -> Mask:
    """(...,) the same of how often each class is decided, (..., K)."""
    least = MIN_GIVEN * transfer.sum(axis=-2).reshape(-1, transfer.shape[-1]).max(axis=0)
    enough: Mask = (given >= least).all(axis=-1)
    return enough


def constant_accuracy(total: npt.NDArray[Any]) -> float:
    """The accuracy of always deciding the most frequent label, in [0, 1]."""
    labels = total.sum(axis=-1)
    return float(labels.max() / labels.sum()) if labels.sum() else float("nan")


def constant(total: IntArray) -> IntArray:
    """(K, K) the confusion matrix of always deciding the most frequent label of ``total``'s."""
    labels = total.sum(axis=1)
    always = np.zeros_like(total)
    always[:, int(labels.argmax())] = labels
    return always


def sound(totals: IntArray, transfer: IntArray, error: str | ErrorMetric) -> Mask:
    """(...,) what decides every class, and is no worse than the constant classifier.

    Worse is less accurate (for the balanced error: by that; an error of the user's own is not
    compared). Where transfer learning itself is worse than the constant one, as with few positives
    it may be, it is the least.

    Args:
        totals: (..., K, K) confusion matrices.
        transfer: (K, K) transfer learning's.
        error: the rule's.
    """
    deciding = decides(totals, transfer)
    if callable(error):
        return deciding
    metric = balanced_error if error == "balanced" else accuracy_error
    most = max(float(metric(constant(transfer))), float(metric(transfer)))
    return deciding & (metric(totals) <= most)


def levels_down(
    tables: IntArray, references: IntArray, counted: Mask, noticeable: float = NOTICEABLE
) -> Mask:
    """(...,) what makes every group worse: each true-positive rate lower, or each false one higher.

    For more than two classes: the accuracy of each group lower.

    Args:
        tables: (..., G, K, K) counts.
        references: (R, G, K, K) counts of what it is compared with; to level down, each must be
            better in each group.
        counted: (G,) the groups that are looked at.
        noticeable: by how much a rate must be worse.
    """
    if not counted.any():
        return np.zeros(tables.shape[:-3], dtype=bool)
    tables, references = tables[..., counted, :, :], references[..., counted, :, :]
    if tables.shape[-1] > 2:
        worst = accuracy(references).min(axis=0)
        return np.asarray((accuracy(tables) < worst - noticeable).all(axis=-1))
    lowest = true_positive_rate(references)[..., 1].min(axis=0)
    highest = false_positive_rate(references)[..., 1].max(axis=0)
    lower = (true_positive_rate(tables)[..., 1] < lowest - noticeable).all(axis=-1)
    higher = (false_positive_rate(tables)[..., 1] > highest + noticeable).all(axis=-1)
    return np.asarray(lower | higher)


def no_reference(old: IntArray, transfer: IntArray, tuned: IntArray) -> str | None:
    """Why an old head is nothing to compare with; None where it is.

    A new, random or near-constant head has next to no gap, and says nothing: it must give every
    class, and be better than the constant classifier by more than noise and by at least two thirds
    of what transfer learning is: new heads on a good body reach more than half of it by luck.
    Better is of balanced error: with few positives a head may be worth having that is less accurate
    than the constant one, and guesses have half of any F1.

    Args:
        old, transfer, tuned: (K, K) confusion matrices of the old head and of transfer learning,
            without and with its threshold tuned.
    """
    if not decides(old, transfer):
        return "it gives a class to fewer than half of those that transfer learning gives it to"
    always = constant(old)
    majority = int(always.sum(axis=0).argmax())
    differing = (old.sum(axis=1) - old[:, majority]).astype(np.float64)
    lead, of_transfer = (
        float(balanced_error(always) - balanced_error(total)) for total in (old, tuned)
    )
    noise = np.sqrt(differing @ prices(always, balanced_error) ** 2)
    if lead <= float(norm.ppf(SURE)) * noise:
        return "it is no better than always deciding the same by more than noise"
    if lead < MIN_SKILL * of_transfer:
        return (
            "it has less than two thirds of transfer learning's lead over always deciding the same"
        )
    return None


def prices(confusion: IntArray, metric: ErrorMetric) -> Array:
    """(K,) points of error that one more row of each label costs, decided wrongly, not rightly."""
    classes = len(confusion)
    wrong = np.where(np.eye(classes, dtype=bool), -np.inf, confusion).argmax(axis=1)
    one = np.eye(classes, dtype=confusion.dtype)
    found = [
        metric(confusion + np.outer(one[label], one[wrong[label]]))
        - metric(confusion + np.outer(one[label], one[label]))
        for label in range(classes)
    ]
    return np.asarray(found, dtype=np.float64)
