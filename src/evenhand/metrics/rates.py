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

from evenhand.criteria import Comparison, Criterion, Rate
from evenhand.errors import InputError
from evenhand.metrics.widest import MANY, widest, worst

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


def error_rate(table: npt.NDArray[Any]) -> Array:
    """(..., G, 1) share of wrong decisions in each group."""
    return 1 - accuracy(table)[..., None]


def balanced_error_rate(table: npt.NDArray[Any]) -> Array:
    """(..., G, 1) mean over the labels of the share decided wrongly; NaN where one has no rows."""
    return 1 - true_positive_rate(table).mean(axis=-1, keepdims=True)


RATES: dict[Rate, Callable[[npt.NDArray[Any]], Array]] = {
    "selection_rate": selection_rate,
    "true_positive_rate": true_positive_rate,
    "false_positive_rate": false_positive_rate,
    "precision": precision,
    "accuracy": lambda table: accuracy(table)[..., None],
    "error_rate": error_rate,
    "balanced_error_rate": balanced_error_rate,
}
"""The rates that criteria compare: (..., G, K, K) counts to (..., G, K) shares, or (..., G, 1)."""


def criterion_rates(table: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(..., R, G, C): the R rates of each of C classes that ``criterion`` compares.

    For two classes only the positive class is given (C = 1), since the other's gaps are the same
    or not asked for; for more, each class against the rest. A group's accuracy has no class.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.criterion_rates(table, "equal_opportunity").ravel()
        array([0.6, 0.8])
    """
    how = Criterion.parse(criterion).comparison
    return of_classes(np.stack([RATES[name](table) for name in how.rates], axis=-3), how)


def of_classes(rates: Array, how: Comparison) -> Array:
    """(..., C) of (..., K) ``rates``: of two classes the positive one, unless every one counts."""
    return rates[..., 1:] if rates.shape[-1] == 2 and not how.every_class else rates


def pairwise_gaps(table: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(..., G, G) the gap between every two groups, the largest over classes.

    Of a criterion that compares by ratios their ratio, the smallest over classes.

    Raises:
        InputError: the criterion is a function of all counts, and compares no pairs.

    Equalized odds is |ΔTPR| + |ΔFPR|, as the paper's ΔEO (section 4.1): twice fairlearn's
    ``equalized_odds_difference(agg="mean")``. Undefined where one group's rate is.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> eh.metrics.pairwise_gaps(table, "demographic_parity").round(2)
        array([[0.  , 0.15],
               [0.15, 0.  ]])
    """
    criterion = Criterion.parse(criterion)
    if criterion.function is not None:
        raise InputError(f"{criterion} is a function of all counts: it has no pairs of groups")
    rates = criterion_rates(table, criterion)
    one, other = rates[..., :, None, :], rates[..., None, :, :]
    if criterion.comparison.across == "ratio":
        apart = _ratio(np.minimum(one, other), np.maximum(one, other))
    else:
        apart = np.abs(one - other)
    return worst(combined(apart, criterion, -4), criterion)


def combined(figures: Array, criterion: Criterion, axis: int) -> Array:
    """What a pair's figures of several rates, along ``axis``, come to."""
    how = criterion.comparison.combined
    if how == "max":
        return figures.max(axis=axis)
    return figures.sum(axis=axis) if how == "sum" else figures.mean(axis=axis)


def gap(table: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(...,) the figure of ``criterion``: its gap, or its level where it is one; else NaN.

    A gap is the largest over all pairs of groups for which it is defined (of a worst-group figure,
    over all groups), a level the smallest.

    Example:
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])  # group, label, decision
        >>> round(float(eh.metrics.gap(table, "equalized_odds")), 2)  # |.6 - .8| + |.1 - .2|
        0.3
        >>> float(eh.metrics.gap(table, "worst_group_accuracy"))
        0.75
    """
    criterion = Criterion.parse(criterion)
    if criterion.function is not None:
        return worst(measured(table, criterion), criterion)
    rates, how = criterion_rates(table, criterion), criterion.comparison
    if how.across == "worst":
        return worst(rates.reshape(*rates.shape[:-3], -1), criterion)
    if how.across == "difference" and len(how.rates) <= 2 and rates.shape[-2] > MANY:
        return widest(rates, how.combined)
    pairs = pairwise_gaps(table, criterion)
    return worst(pairs[..., *np.triu_indices(table.shape[-3], k=1)], criterion)


def measured(table: npt.NDArray[Any], criterion: Criterion) -> Array:
    """(..., M) the figures that the function of a criterion of one's own gives.

    Raises:
        InputError: they have another shape, or lie outside what the criterion says.
    """
    assert criterion.function is not None
    values = np.asarray(criterion.function(np.asarray(table, dtype=np.float64)), dtype=np.float64)
    lead = table.shape[:-3]
    if values.shape == lead:
        values = values[..., None]
    if values.shape[:-1] != lead:
        raise InputError(
            f"criterion {criterion} gave figures of shape {values.shape} for counts of shape "
            f"{table.shape}: one for each table is wanted, {lead}; count axes from the end, as "
            "counts[..., 1, 1], and sum over axis=-1"
        )
    outside = values[(values < -1e-9) | (values > criterion.highest + 1e-9)]
    if outside.size:
        raise InputError(
            f"criterion {criterion} gave {outside[0]:g}, outside 0 to {criterion.highest:g}; say "
            "how large it can be with highest="
        )
    return values
