"""The interval of a gap on 10,000 decisions: from their counts, or by MetricFrame's bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.measure import NotInstalledError, Options, in_turns, require
from benchmarks.memory import peak_megabytes
from benchmarks.rows import Row, faster
from evenhand.groups import Groups
from evenhand.metrics.counts import Counts
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import error_interval

FULL, SMALL = (10_000, 200), (1_000, 10)
CLASSES = ("no", "yes")


def make(n: int, replicates: int) -> tuple[Any, ...]:
    """Labels, decisions and groups; and how many bootstrap replicates."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, n)
    labels = (rng.random(n) < 0.2 + 0.15 * group).astype(np.int64)
    decided = np.where(rng.random(n) < 0.15 + 0.05 * group, 1 - labels, labels)
    return labels, decided, group, replicates


def ours(made: tuple[Any, ...]) -> tuple[float, float]:
    """Interval of ΔDP; counting the rows is part of it. Nothing is kept from call to call."""
    from evenhand.metrics import gap_intervals

    labels, decided, group, replicates = made
    gap_intervals._gap_interval.cache_clear()
    counts = Counts.of(labels, decided, Groups(group, ("a", "b")), CLASSES)
    error_interval(counts, "accuracy", replicates=replicates)
    interval = gap_interval(counts, "demographic_parity")
    return interval.low, interval.high


def metric_frame(made: tuple[Any, ...]) -> tuple[float, float]:
    """fairlearn's bootstrap of the accuracy and of the gap of selection rates."""
    require("fairlearn", "fairlearn")
    from fairlearn.metrics import MetricFrame, selection_rate
    from sklearn.metrics import accuracy_score

    labels, decided, group, replicates = made
    frame = MetricFrame(
        metrics={"accuracy": accuracy_score, "rate": selection_rate},
        y_true=labels,
        y_pred=decided,
        sensitive_features=group,
        n_boot=replicates,
        ci_quantiles=[0.025, 0.975],
        random_state=0,
    )
    low, high = frame.difference_ci()
    return float(low["rate"]), float(high["rate"])


def run(options: Options) -> list[Row]:
    size = SMALL if options.quick else FULL
    made = make(*size)
    what = f"intervals of the error and of ΔDP, {size[0]:,} decisions"
    try:
        theirs = metric_frame(made)
    except NotInstalledError as missing:
        return [Row("intervals", what, "MetricFrame", note=f"skipped: {missing}")]
    found = ours(made)
    seconds = in_turns(
        {"ours": lambda: ours(made), "theirs": lambda: metric_frame(made)},
        min(options.repeats, 3),
        warm=False,
    )
    memory = [
        None
        if options.quick
        else peak_megabytes(
            "benchmarks.intervals:make", f"benchmarks.intervals:{name}", FULL, SMALL
        )
        for name in ("ours", "metric_frame")
    ]
    note = (
        f"{size[1]} replicates of all rows; its interval of ΔDP {theirs[0]:.4f} to "
        f"{theirs[1]:.4f}, ours {found[0]:.4f} to {found[1]:.4f}"
    )
    against = "MetricFrame's bootstrap"
    more = {"memory": memory[0], "their_memory": memory[1], "note": note}
    return [faster("intervals", what, against, seconds["ours"], seconds["theirs"], **more)]
