"""Rates, gaps and errors of count tensors.

Every function takes tables of shape (..., G, K, K) [group, label, prediction] or confusion
matrices of shape (..., K, K), so that thousands of candidates or bootstrap replicates are scored
at once. A rate without rows is not-a-number, never 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.text import visible
from evenhand.criteria import Criterion, Rate
from evenhand.errors import InputError
from evenhand.metrics.counts import Counts

Array = npt.NDArray[np.floating[Any]]


def _ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> Array:
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.divide(
        above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below > 0
    )


def base_rate(table: npt.NDArray[Any]) -> Array:
    """(..., G, K) share of each label in each group.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.base_rate(table)
        array([[0.5, 0.5],
               [0.5, 0.5]])
    """
    cells = table.sum(axis=-1)
    return _ratio(cells, cells.sum(axis=-1, keepdims=True))


def selection_rate(table: npt.NDArray[Any]) -> Array:
    """(..., G, K) share of each prediction in each group.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.selection_rate(table)
        array([[0.65, 0.35],
               [0.5 , 0.5 ]])
    """
    chosen = table.sum(axis=-2)
    return _ratio(chosen, chosen.sum(axis=-1, keepdims=True))


def true_positive_rate(table: npt.NDArray[Any]) -> Array:
    """(..., G, K) share of the rows of a class that are predicted as that class.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.true_positive_rate(table)[:, 1]
        array([0.6, 0.8])
    """
    return _ratio(np.diagonal(table, axis1=-2, axis2=-1), table.sum(axis=-1))


def false_positive_rate(table: npt.NDArray[Any]) -> Array:
    """(..., G, K) share of the rows of other classes that are predicted as the class.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.false_positive_rate(table)[:, 1]
        array([0.1, 0.2])
    """
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    others = table.sum(axis=(-2, -1))[..., None] - table.sum(axis=-1)
    return _ratio(table.sum(axis=-2) - hits, others)


def precision(table: npt.NDArray[Any]) -> Array:
    """(..., G, K) share of the predictions of a class that are right.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> float(eh.metrics.precision(table)[1, 1])  # of group 1: 80 of 100
        0.8
    """
    return _ratio(np.diagonal(table, axis1=-2, axis2=-1), table.sum(axis=-2))


def accuracy(confusion: npt.NDArray[Any]) -> Array:
    """(...,) share of right predictions of (..., K, K) confusion matrices, in [0, 1].

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.accuracy(table)
        array([0.75, 0.8 ])
    """
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def f1_error(confusion: npt.NDArray[Any]) -> Array:
    """(...,) 100 - weighted F1 in %, the paper's Err (section 4.1); classes weigh by their rows.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.f1_error(table).round(1)
        array([25.6, 20. ])
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    support, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    f1 = np.nan_to_num(_ratio(2 * hits, support + predicted))
    return 100 - 100 * _ratio((f1 * support).sum(axis=-1), support.sum(axis=-1))


def accuracy_error(confusion: npt.NDArray[Any]) -> Array:
    """(...,) 100 - accuracy in %.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.accuracy_error(table)
        array([25., 20.])
    """
    return 100 - 100 * accuracy(confusion)


def balanced_error(confusion: npt.NDArray[Any]) -> Array:
    """(...,) 100 - the mean recall of the classes that have rows, in %.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.balanced_error(table)
        array([25., 20.])
    """
    recall = _ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1))
    present = ~np.isnan(recall)
    return 100 - 100 * _ratio(np.nan_to_num(recall).sum(axis=-1), present.sum(axis=-1))


ErrorMetric = Callable[[npt.NDArray[Any]], Array]


ERRORS: dict[str, ErrorMetric] = {
    "f1": f1_error,
    "accuracy": accuracy_error,
    "balanced": balanced_error,
}
"""Error metrics by name: (..., K, K) confusion matrices to errors in %."""


def error_metric(metric: str | ErrorMetric) -> ErrorMetric:
    """The error metric called ``metric``, or the callable itself.

    Raises:
        InputError: no metric of that name.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.error_metric("accuracy")(table.sum(axis=0)).item()
        22.5
    """
    if callable(metric):
        return metric
    if metric not in ERRORS:
        raise InputError(f"unknown error metric {metric!r}; known are {', '.join(ERRORS)}")
    return ERRORS[metric]


RATES: dict[Rate, Callable[[npt.NDArray[Any]], Array]] = {
    "selection_rate": selection_rate,
    "true_positive_rate": true_positive_rate,
    "false_positive_rate": false_positive_rate,
}
"""The rates that criteria compare: (..., G, K, K) counts to (..., G, K) shares."""


def criterion_rates(table: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(..., R, G, C): the R rates of each of C classes that ``criterion`` asks to be even.

    For two classes only the positive class is given (C = 1), since the other's gaps are the same;
    for more, each class against the rest.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.criterion_rates(table, "equal_opportunity").ravel()
        array([0.6, 0.8])
    """
    compared = Criterion.parse(criterion).comparison.rates
    rates = np.stack([RATES[name](table) for name in compared], axis=-3)
    return rates[..., 1:] if rates.shape[-1] == 2 else rates


def rate_rows(cells: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(..., R, G, C) how many rows each rate of :func:`criterion_rates` is a share of.

    Args:
        cells: (..., G, K) rows of each group with each label.
        criterion: what is compared.
    """
    cells = np.asarray(cells, dtype=np.float64)
    group = np.broadcast_to(cells.sum(axis=-1, keepdims=True), cells.shape)
    of: dict[Rate, Array] = {
        "selection_rate": group,
        "true_positive_rate": cells,
        "false_positive_rate": group - cells,
    }
    compared = Criterion.parse(criterion).comparison.rates
    rows = np.stack([of[name] for name in compared], axis=-3)
    return rows[..., 1:] if rows.shape[-1] == 2 else rows


def pairwise_gaps(table: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(..., G, G) the gap between every two groups, the largest over classes.

    Equalized odds is |ΔTPR| + |ΔFPR|, as the paper's ΔEO (section 4.1): twice fairlearn's
    ``equalized_odds_difference(agg="mean")``. Undefined where one group's rate is.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.pairwise_gaps(table, "demographic_parity").round(2)
        array([[0.  , 0.15],
               [0.15, 0.  ]])
    """
    rates = criterion_rates(table, criterion)
    differences = np.abs(rates[..., :, None, :] - rates[..., None, :, :]).sum(axis=-4)
    largest = np.max(np.where(np.isnan(differences), -np.inf, differences), axis=-1)
    return np.where(np.isneginf(largest), np.nan, largest)


def gap(table: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(...,) the largest gap over all pairs of groups for which it is defined, else NaN.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> round(float(eh.metrics.gap(table, "equalized_odds")), 2)  # |.6 - .8| + |.1 - .2|
        0.3
    """
    pairs = pairwise_gaps(table, criterion)
    g = table.shape[-3]
    if g < 2:
        return np.full(pairs.shape[:-2], np.nan)
    upper = pairs[..., *np.triu_indices(g, k=1)]
    largest = np.max(np.where(np.isnan(upper), -np.inf, upper), axis=-1)
    return np.where(np.isneginf(largest), np.nan, largest)


def undefined_rates(table: npt.NDArray[Any], criterion: str | Criterion) -> int:
    """How many of the rates the criterion compares have no rows to be computed from."""
    return int(np.isnan(criterion_rates(table, criterion)).sum())


def why_undefined(counts: Counts, criterion: str | Criterion) -> list[str]:
    """The groups that have no rows for a rate that ``criterion`` compares, in words.

    Groups without any rows are not among them: there is nothing to compare.
    """
    criterion = Criterion.parse(criterion)
    if not criterion.by_label or not counts.labelled:
        return []
    cells = counts.cells
    labels = range(cells.shape[1])
    if criterion is Criterion.EQUAL_OPPORTUNITY and cells.shape[1] == 2:
        labels = range(1, 2)
    return [
        f"group {visible(counts.group_names[g])!r} has 0 rows with label "
        f"{visible(counts.class_names[y])!r}"
        for g in np.flatnonzero(cells.sum(axis=1) > 0)
        for y in labels
        if not cells[g, y]
    ]


def partial_gap(table: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(...,) the least the gap can be, over what is defined: where one group's rate is not, its
    difference counts as 0, and the others as they are.

    Example:
        >>> table = np.array([[[0, 9], [0, 0]], [[9, 0], [0, 9]]])  # no positives in group 0
        >>> float(eh.metrics.partial_gap(table, "equalized_odds"))  # from false positives alone
        1.0
    """
    rates = criterion_rates(table, criterion)
    apart = np.abs(rates[..., :, None, :] - rates[..., None, :, :])
    return np.nan_to_num(apart).sum(axis=-4).max(axis=(-3, -2, -1))
