"""What a Trainer reports of groups at each evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from evenhand.criteria import Criterion
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import (
    accuracy,
    f1_error,
    false_positive_rate,
    gap,
    selection_rate,
    true_positive_rate,
)


def group_metrics(counts: Counts) -> dict[str, float]:
    """Flat metrics of counts, named as :class:`FairTrainer` reports them."""
    table = counts.table
    metrics = {
        "err": float(f1_error(counts.total)),
        "accuracy": float(accuracy(counts.total)),
        "delta_eo": float(gap(table, Criterion.EQUALIZED_ODDS)),
        "delta_dp": float(gap(table, Criterion.DEMOGRAPHIC_PARITY)),
        "rows_unknown_group": float(counts.unknown.sum()),
    }
    rates: dict[str, Callable[[np.ndarray], Any]] = {
        "selection_rate": selection_rate,
        "tpr": true_positive_rate,
        "fpr": false_positive_rate,
    }
    each = {kind: rate(table) for kind, rate in rates.items()}
    for g, group in enumerate(counts.group_names):
        metrics[f"rows_{group}"] = float(counts.sizes[g])
        for kind, values in each.items():
            if len(counts.class_names) == 2:
                metrics[f"{kind}_{group}"] = float(values[g, 1])
                continue
            for k, name in enumerate(counts.class_names):
                metrics[f"{kind}_{group}_{name}"] = float(values[g, k])
    return metrics


def padded(counts: Counts, names: tuple[str, ...]) -> Counts:
    """The same counts with empty rows for groups that turned up later."""
    k = len(counts.class_names)
    table = np.zeros((len(names), k, k), dtype=counts.table.dtype)
    table[: len(counts.group_names)] = counts.table
    return Counts(table, counts.unknown, names, counts.class_names, counts.attribute)


def as_array(values: Any) -> np.ndarray:
    """What an evaluation gathered, a tensor or an array, as an array."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
