"""Of how many rows weighted counts are as sure: a factor for every cell, by what is compared.

A rate of weighted rows is the rate of their sums; it is as sure as that of Kish's effective rows.
Multiplying each cell's sums by (sum w) / (sum w²) leaves a rate inside the cell as it is, and makes
its rows effective ones, so that every formula for intervals and bounds of counts holds. Rates that
mix the labels of a group keep their value only where the labels have one factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64
from evenhand.criteria import Criterion

WITHIN_LABELS = frozenset(("true_positive_rate", "balanced_error_rate"))
"""Rates whose value does not depend on how many rows each label has."""


def effective_factors(
    criterion: str | Criterion, sums: npt.NDArray[Any], squares: npt.NDArray[Any]
) -> Float64:
    """(G, K) what each cell's counts are multiplied by for what ``criterion`` compares.

    The factor of the cell where rates are inside labels; of the group where they are of all its
    rows; the smallest of the group's cells where they mix labels otherwise, and the smallest of all
    for a measure of one's own, which may mix anything: its intervals are then rather too wide.

    Args:
        criterion: what is compared.
        sums: (G, K) sums of the weights of each group's rows with each label.
        squares: (G, K) sums of their squares.

    Example:
        >>> from evenhand.metrics.effective import effective_factors
        >>> sums, squares = np.array([[4.0, 2.0], [3.0, 3.0]]), np.array([[8.0, 2.0], [3.0, 3.0]])
        >>> effective_factors("equal_opportunity", sums, squares)
        array([[0.5, 1. ],
               [1. , 1. ]])
    """
    criterion = Criterion.parse(criterion)
    rates = set(criterion.comparison.rates)
    cells = _factors(sums, squares)
    inside = WITHIN_LABELS | ({"false_positive_rate"} if cells.shape[-1] == 2 else set())
    if criterion.function is not None:
        return np.full_like(cells, cells.min(initial=np.inf)) if cells.size else cells
    if rates <= inside:
        return cells
    if criterion.by_label:
        return np.broadcast_to(cells.min(axis=-1, keepdims=True), cells.shape)
    groups = _factors(sums.sum(axis=-1, keepdims=True), squares.sum(axis=-1, keepdims=True))
    return np.broadcast_to(groups, cells.shape)


def effective_tables(
    tables: npt.NDArray[Any], criterion: str | Criterion, squares: npt.NDArray[Any] | None
) -> npt.NDArray[Any]:
    """(..., G, K, K) tables of the same rows as rows that are as sure.

    Args:
        tables: sums of the rows' weights, however each table decides them.
        criterion: what is compared.
        squares: (G, K) sums of the squared weights; None where rows have none.
    """
    if squares is None:
        return tables
    sums = tables.reshape(-1, *tables.shape[-3:])[0].sum(axis=-1)
    return np.asarray(tables * effective_factors(criterion, sums, squares)[..., None])


def _factors(sums: npt.NDArray[Any], squares: npt.NDArray[Any]) -> Float64:
    ones = np.ones(np.shape(sums))
    return np.divide(np.asarray(sums, np.float64), squares, out=ones, where=squares > 0)
