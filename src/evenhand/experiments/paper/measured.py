"""Our numbers: series over seeds from the table of results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evenhand._base.text import number
from evenhand.experiments.compare.statistics import mean_interval
from evenhand.experiments.paper.verdicts import Array

METRICS = ("error", "delta_eo", "delta_dp")


SYMBOLS = {"error": "Err", "delta_eo": "ΔEO", "delta_dp": "ΔDP"}


DIGITS = {"error": 2, "delta_eo": 3, "delta_dp": 3}


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a source's key, a method and its setting."""

    source: str
    method: str
    setting: str

    def values(self, frame: pd.DataFrame, metric: str) -> pd.Series[float]:
        """The metric by seed; empty where it was not run."""
        mine = frame[
            (frame["source"] == self.source)
            & (frame["method"] == self.method)
            & (frame["setting"] == self.setting)
        ]
        return mine.set_index("seed")[metric].astype(float).sort_index()

    def parameters(self, frame: pd.DataFrame) -> float:
        """What trains; NaN where it was not run."""
        values = self.values(frame, "trainable_parameters")
        return float(values.iloc[0]) if len(values) else float("nan")


def differences(frame: pd.DataFrame, ours: Side, against: Side, metric: str) -> Array:
    """(P,) ours minus the other, over the seeds both have."""
    first, second = ours.values(frame, metric), against.values(frame, metric)
    shared = first.index.intersection(second.index)
    apart: Array = first[shared].to_numpy() - second[shared].to_numpy()
    return apart


def summary(values: pd.Series[float] | Array, metric: str, *, interval: bool = False) -> str:
    """``15.78±.54``, the mean and standard deviation over seeds as the paper prints them."""
    kept = np.asarray(values, dtype=np.float64)
    if not len(kept):
        return "not run"
    digits = DIGITS.get(metric, 3)
    text = number(float(kept.mean()), digits)
    if len(kept) > 1:
        text += f"±{number(float(kept.std(ddof=1)), digits)}"
    if interval and len(kept) > 1:
        _, low, high = mean_interval(kept)
        text += f" [{number(low, digits)}, {number(high, digits)}]"
    return text
