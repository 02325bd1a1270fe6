"""Counts, the rates and gaps they give, and how sure one can be of them."""

from __future__ import annotations

from evenhand.metrics.bounds import critical_value, may_be_noise, noise_floor, upper_bound
from evenhand.metrics.counts import Counts
from evenhand.metrics.estimates import standard_error
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import Interval, error_interval, rate_interval, ratio_interval
from evenhand.metrics.rates import (
    accuracy,
    accuracy_error,
    balanced_error,
    base_rate,
    criterion_rates,
    error_metric,
    f1_error,
    false_positive_rate,
    gap,
    pairwise_gaps,
    precision,
    selection_rate,
    true_positive_rate,
)

__all__ = [
    "Counts",
    "Interval",
    "accuracy",
    "accuracy_error",
    "balanced_error",
    "base_rate",
    "criterion_rates",
    "critical_value",
    "error_interval",
    "error_metric",
    "f1_error",
    "false_positive_rate",
    "gap",
    "gap_interval",
    "may_be_noise",
    "noise_floor",
    "pairwise_gaps",
    "precision",
    "rate_interval",
    "ratio_interval",
    "selection_rate",
    "standard_error",
    "true_positive_rate",
    "upper_bound",
]
