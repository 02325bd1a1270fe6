"""The worst group and the worst cell: evenhand's candidates beside group DRO and DFR.

On the same features, rows and ridge, decided on the same test rows. A peer's setting is one point
of accuracy and worst accuracy; evenhand's candidates, chosen by cross-fitted counts alone, are a
line, read at the peer's own test accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.arrays import IntArray
from evenhand._base.markdown import markdown_table
from evenhand._base.processes import spread
from evenhand._base.threads import one_thread
from evenhand.criteria import Criterion
from evenhand.experiments.compare.statistics import mean_interval
from evenhand.experiments.methods.method import Method
from evenhand.experiments.methods.worst_cells import dfr, group_dro
from evenhand.finetuning.fitting import Fitting
from evenhand.finetuning.problem import Problem, decide
from evenhand.finetuning.recipe import Recipe
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.stage import Stage
from evenhand.heads.selection.frontier import frontier
from evenhand.heads.selection.rule import Rule
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import accuracy, gap

CRITERIA = (Criterion.parse("worst_group_accuracy"), Criterion.parse("worst_cell_accuracy"))
OWN = "evenhand"
PEERS: dict[str, Callable[[], Method]] = {"dfr": dfr, "group-dro": group_dro}
FEATURES = ("head", "deep")
"""What is read: the head's own input, or the two stages before it too."""


def worst_groups(
    recipe: Recipe,
    seeds: Sequence[int],
    *,
    jobs: int = 1,
    on_done: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """One row a point × criterion × features × seed: ``accuracy`` and ``worst``, in %.

    Args:
        recipe: the task, its data and a model.
        seeds: each with a split of its own.
        jobs: at a time, of seeds × features.
        on_done: called after each.
    """
    recipe.extract(seeds[0])
    tasks = [(recipe, seed, what) for seed in seeds for what in FEATURES]
    found = spread(_one, tasks, jobs=jobs, on_done=on_done)
    return pd.DataFrame([row for rows in found for row in rows])


def _one(recipe: Recipe, seed: int, what: str) -> list[dict[str, Any]]:
    with one_thread():
        stage = recipe.stage(seed)
        seen = stage.deep if what == "deep" else stage
        if seen is None:
            return []
        seen = replace(seen, depth=None, problem=replace(seen.problem, deep_features=None))
        rows = [row for criterion in CRITERIA for row in measured(seen, criterion)]
    return [{"features": what, "seed": seed, **row} for row in rows]


def measured(stage: Stage, criterion: Criterion) -> list[dict[str, Any]]:
    """Every point of evenhand's line and of the peers, on the test rows.

    The peers are fitted on the train and valid rows together, as evenhand's candidates are.
    """
    problem = stage.problem
    rule = Rule((), criterion, error="accuracy")
    fair = Fitting.of(problem, FinetuneRequest(fresh_head=True)).fit(rule)
    found = []
    for point in frontier(fair, rule, None, promised=False):
        fit = fair.families[point.family].fit(point.index)
        decisions = fit.logits(stage.test.features).argmax(axis=1)
        found.append(_scored(stage, criterion, OWN, "", decisions) | {"chosen": point.chosen})
    for name, peer in PEERS.items():
        for setting, fitted in peer()(_all_rows(problem)):
            decisions = decide(fitted.predict(stage.queries))
            found.append(
                _scored(stage, criterion, name, str(setting), decisions) | {"chosen": False}
            )
    return found


def _all_rows(problem: Problem) -> Problem:
    return replace(problem, train=problem.development, known_ridge=problem.ridge)


def _scored(
    stage: Stage, criterion: Criterion, method: str, setting: str, decisions: IntArray
) -> dict[str, Any]:
    test = stage.test
    counts = Counts.of(test.labels, decisions, test.groups, test.classes, test.counting)
    return {
        "criterion": str(criterion),
        "method": method,
        "setting": setting,
        "accuracy": 100 * float(accuracy(counts.total)),
        "worst": 100 * float(gap(counts.table, criterion)),
    }


def at_equal_accuracy(rows: pd.DataFrame) -> pd.DataFrame:
    """evenhand's worst accuracy less each peer's, at the peer's test accuracy, paired by seed.

    The line goes through all of its points, those that others better on the test rows too, so that
    no test row chooses among them. Where a peer is more accurate than the whole line, the line's
    most accurate end is read, and counted in ``beyond``.
    """
    found = []
    keys = ["features", "criterion", "method", "setting"]
    for key, part in rows[rows["method"] != OWN].groupby(keys, sort=False):
        told = dict(zip(keys, key, strict=True))
        differences, beyond = [], 0
        for peer in part.to_dict("records"):
            same = (rows["features"] == told["features"]) & (rows["seed"] == peer["seed"])
            same &= (rows["criterion"] == told["criterion"]) & (rows["method"] == OWN)
            line = rows[same]
            points = line.groupby("accuracy")["worst"].mean()  # ascending
            own = float(np.interp(peer["accuracy"], points.index, points.to_numpy()))
            beyond += bool(peer["accuracy"] > points.index.max())
            differences.append(own - peer["worst"])
        mean, low, high = mean_interval(np.array(differences))
        found.append(
            told
            | {
                "accuracy": part["accuracy"].mean(),
                "worst": part["worst"].mean(),
                "ahead": mean,
                "ahead_low": low,
                "ahead_high": high,
                "beyond": beyond,
                "seeds": len(differences),
            }
        )
    return pd.DataFrame(found)


def page(rows: pd.DataFrame, what: str, command: str, machine: str) -> str:
    """The study as a Markdown page."""
    seeds = rows["seed"].nunique()
    apart = at_equal_accuracy(rows)
    behind = apart[apart["ahead_high"] < 0]
    ahead = apart[apart["ahead_low"] > 0]
    chosen = rows[rows["chosen"].astype(bool)]
    keys = ["features", "criterion"]
    means = chosen.groupby(keys, sort=False)[["accuracy", "worst"]].mean().reset_index()
    lines = [
        "# The worst group and the worst cell",
        f"{what}, {seeds} seeds with a split of their own. Heads on the same frozen features: the "
        "head's own input, and the two stages before it too (*deep*). Deep feature reweighting "
        "(Kirichenko et al. 2023) and group DRO (Sagawa et al. 2020, solved to convergence) are "
        "fitted on the train and valid rows at the ridge that evenhand chose; a share below 1 is "
        "between transfer learning and DFR as published, a tilt below 100 between the mean of the "
        "cells and group DRO as published. evenhand's candidates are those that no other betters "
        "by cross-fitted counts, in accuracy and in the worst accuracy; of heads fitted for the "
        "worst, group DRO's path among them, as it is estimated (the peers promise nothing), of "
        "all others, which are searched, one standard error lower, since the best of hundreds "
        "looks better than it is (a rule found on other splits than these). The line through all "
        "of them is read, so that no test row chose one. Made by "
        f"`{command}` on {machine}.",
        f"*Ahead* is evenhand's worst accuracy less the peer's, in points, at the peer's own "
        f"accuracy on the test rows, paired over {seeds} seeds, with 95 % intervals. evenhand is "
        f"ahead beyond chance in {len(ahead)} of {len(apart)} rows, and behind beyond chance in "
        f"{len(behind)}. *Beyond* counts the seeds in which a peer was more accurate than the "
        "whole line, which is then read at its most accurate end; "
        "of a peer less accurate than the whole line, its least accurate end is read.",
        markdown_table(
            ("features", "criterion", "peer", "accuracy %", "worst %", "ahead", "beyond"),
            (
                (
                    r["features"],
                    r["criterion"].replace("_", " "),
                    f"{r['method']} {r['setting']}",
                    f"{r['accuracy']:.2f}",
                    f"{r['worst']:.2f}",
                    f"{r['ahead']:+.2f} [{r['ahead_low']:+.2f}, {r['ahead_high']:+.2f}]",
                    r["beyond"],
                )
                for r in apart.to_dict("records")
            ),
        ),
        "What evenhand ships without a bound, at half a point of error or less:",
        markdown_table(
            ("features", "criterion", "accuracy %", "worst %"),
            (
                (
                    r["features"],
                    r["criterion"].replace("_", " "),
                    f"{r['accuracy']:.2f}",
                    f"{r['worst']:.2f}",
                )
                for r in means.to_dict("records")
            ),
        ),
    ]
    return "\n\n".join(lines) + "\n"
