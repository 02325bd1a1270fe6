"""What cannot be computed of a criterion for want of rows, and what can all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.text import visible
from evenhand.criteria import Criterion, Rate
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import Array, combined, criterion_rates, gap

NEEDED_OF_TWO: dict[tuple[Rate, ...], list[int]] = {
    ("true_positive_rate",): [1],
    ("false_positive_rate",): [0],
    ("precision",): [1],
}
"""The labels that the rates of the positive class are shares of; of other rates, both."""


def undefined_rates(table: npt.NDArray[Any], criterion: str | Criterion) -> int:
    """How many of the rates the criterion compares have no rows to be computed from."""
    return int(np.isnan(criterion_rates(table, criterion)).sum())


def why_undefined(counts: Counts, criterion: str | Criterion) -> list[str]:
    """The groups that have no rows for a rate that ``criterion`` compares, in words.

    Groups without any rows are not among them: there is nothing to compare.
    """
    criterion = Criterion.parse(criterion)
    if not counts.labelled or criterion.function is not None:
        return []
    how, cells, what = criterion.comparison, counts.cells, "with label"
    labels = list(range(cells.shape[1]))
    if "precision" in how.rates:
        cells, what = counts.table.sum(axis=1), "decided"
    elif not criterion.by_label:
        return []
    if len(labels) == 2 and not how.every_class:
        labels = NEEDED_OF_TWO.get(how.rates, labels)
    return [
        f"group {visible(counts.group_names[g])!r} has 0 rows {what} "
        f"{visible(counts.class_names[y])!r}"
        for g in np.flatnonzero(counts.cells.sum(axis=1) > 0)
        for y in labels
        if not cells[g, y]
    ]


def partial_gap(table: npt.NDArray[Any], criterion: str | Criterion) -> Array:
    """(...,) the least the gap can be, over what is defined: where one group's rate is not, its
    difference counts as 0, and the others as they are. Of a level, the most it can be.

    Example:
        >>> table = np.array([[[0, 9], [0, 0]], [[9, 0], [0, 9]]])  # no positives in group 0
        >>> float(eh.metrics.partial_gap(table, "equalized_odds"))  # from false positives alone
        1.0
    """
    criterion = Criterion.parse(criterion)
    if criterion.comparison.across != "difference":
        best = 0.0 if criterion.kind == "gap" else criterion.highest
        return np.nan_to_num(gap(table, criterion), nan=best)
    rates = criterion_rates(table, criterion)
    apart = np.abs(rates[..., :, None, :] - rates[..., None, :, :])
    return combined(np.nan_to_num(apart), criterion, -4).max(axis=(-3, -2, -1))
