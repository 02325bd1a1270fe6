"""A simulated run for the tests of its views: five methods, and a path of strengths."""

import numpy as np

from evenhand.criteria import Criterion
from evenhand.groups import Groups
from evenhand.metrics import Counts
from evenhand.report.record import PathPoint, Record, Run
from evenhand.report.setting import Setting
from evenhand.rows import Rows


def simulated(rows=4000, groups=("Female", "Male"), classes=("<=50K", ">50K"), seed=0):
    """Labels, groups and a score that favours the later groups."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, len(groups), rows)
    labels = (rng.random(rows) < 0.12 + 0.18 * codes / max(len(groups) - 1, 1)).astype(int)
    score = 1.6 * labels + 0.5 * codes / max(len(groups) - 1, 1) + rng.normal(size=rows)
    return labels, Groups(codes, groups, "sex"), score, classes


def record(data, method, setting, fair, seed=0, offset=1.5):
    labels, groups, score, classes = data
    shift = 0.5 * groups.codes / max(groups.number - 1, 1)
    noise = np.random.default_rng(seed + 17).normal(size=len(labels)) * (0.1 + 0.5 * fair**2)
    moved = score - fair * shift + noise - offset
    counts = Counts.of(labels, (moved > 0).astype(int), groups, classes)
    probability = 1 / (1 + np.exp(-moved))
    return Record("adult", method, Setting(setting), seed, counts, 22, 0.13, scores=probability)


def make_run(seeds=1, groups=("Female", "Male"), classes=("<=50K", ">50K"), **more):
    data = simulated(groups=groups, classes=classes)
    labels, coded, _, _ = data
    plan = [("transfer learning", "", 0.0), ("gap", "eo .3", 0.6), ("gap", "eo 1", 0.9)]
    plan += [("svd", "rank 1", 0.05), ("fisher", "rank 1", 0.1), ("reductions", "eps .05", 0.7)]
    records = tuple(record(data, m, s, f, seed) for seed in range(seeds) for m, s, f in plan)
    path = tuple(
        PathPoint(
            float(s),
            point.error + 0.1,
            point.gap("eo") + 0.01,
            point.gap("eo") + 0.05,
            s == 0.3,
            point.counts,
        )
        for s, point in (
            (s, record(data, "", "", s / (s + 0.2))) for s in (0, 0.03, 0.1, 0.3, 1, 3)
        )
    )
    fields = {
        "command": "compare",
        "asked": "Predict income; keep the equalized-odds gap between the sexes within .10.",
        "decided": "The gap penalty at strength .3 was chosen: it has the lowest error within it.",
        "records": records,
        "before": records[0],
        "after": records[1],
        "test": Rows(np.zeros((len(labels), 1)), labels, coded, classes),
        "provenance": {"data sha256": "ab" * 32, "versions": {"torch": "2.6"}, "command": "x"},
        "config": {"seeds": seeds},
        "bounds": {Criterion.EQUALIZED_ODDS: 0.15},
        "frontier": path,
    }
    return Run(**(fields | more))
