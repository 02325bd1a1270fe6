"""What moving the last block of an image model a little gains over its head alone.

The head with the soft-gap penalty, and low-rank adapters on the last block trained with the head,
at the same strengths, on the same rows, scored on the same test rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from evenhand._base.arrays import IntArray
from evenhand._base.markdown import markdown_table
from evenhand._base.processes import spread
from evenhand._base.threads import one_thread
from evenhand.criteria import Criterion
from evenhand.experiments.compare.frontier import error_at
from evenhand.experiments.methods.linear_heads import STRENGTHS as HEAD_STRENGTHS
from evenhand.finetuning.inmodel.adapt import adapt
from evenhand.finetuning.recipe import Recipe
from evenhand.finetuning.stage import Stage
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import f1_error, gap
from evenhand.models.features import extract
from evenhand.tasks.task import Task

CRITERION = Criterion.EQUALIZED_ODDS


STRENGTHS = (0.3, 1.0, 3.0)


LAST_BLOCK = ("layer4.1.conv1", "layer4.1.conv2")
"""Of a torchvision ResNet-18."""


RANK, EPOCHS, BATCH, RATE = 4, 5, 64, 4e-3


HEAD, ADAPTER = "head", "adapter"


def last_block(
    recipe: Recipe,
    seeds: Sequence[int],
    *,
    layers: Sequence[str] = LAST_BLOCK,
    jobs: int = 1,
    on_done: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """One row a part (``head`` or ``adapter``) × strength × seed: ``error`` and ``delta_eo``.

    Args:
        recipe: the task, its data and an image model.
        seeds: each with a split of its own.
        layers: to adapt.
        jobs: seeds at a time.
        on_done: called after each seed × strength and once for each seed's heads.
    """
    recipe.extract(seeds[0])
    tasks = [
        (recipe, seed, strength, tuple(layers)) for seed in seeds for strength in (None, *STRENGTHS)
    ]
    parts = spread(_one, tasks, jobs=jobs, on_done=on_done)
    return pd.DataFrame([row for part in parts for row in part])


def _one(
    recipe: Recipe, seed: int, strength: float | None, layers: Sequence[str]
) -> list[dict[str, Any]]:
    with one_thread():
        stage = recipe.stage(seed)
        if strength is None:
            return _heads(stage)
        task = recipe.config.load(seed=seed)
        return [_adapted(stage, task, strength, layers)]


def _heads(stage: Stage) -> list[dict[str, Any]]:
    problem, test = stage.problem, stage.test
    rows = problem.train
    terms = gap_terms(rows.labels, rows.groups, rows.classes, CRITERION)
    path = (0.0, *HEAD_STRENGTHS)
    fits = fit_path(
        rows, HeadSpec(ridge=problem.ridge), path, terms, control=FitControl(start=problem.head)
    )
    return [_scored(stage, HEAD, fit.strength, fit.head.predict(test.features)) for fit in fits]


def _adapted(stage: Stage, task: Task, strength: float, layers: Sequence[str]) -> dict[str, Any]:
    model = adapt(
        stage.backbone,
        task.train,
        target_modules=list(layers),
        rank=RANK,
        classes=task.classes,
        criterion=CRITERION,
        strength=strength,
        ridge=stage.problem.ridge,
        epochs=EPOCHS,
        batch_size=BATCH,
        learning_rate=RATE,
        seed=stage.problem.seed,
    )
    own = replace(stage.backbone, model=model)
    features = extract(own, task.test, task.classes).rows.features
    return _scored(stage, ADAPTER, strength, own.linear_head().predict(features))


def _scored(stage: Stage, part: str, strength: float, decisions: IntArray) -> dict[str, Any]:
    test = stage.test
    counts = Counts.of(test.labels, decisions, test.groups, test.classes)
    return {
        "part": part,
        "strength": strength,
        "seed": stage.problem.seed,
        "error": float(f1_error(counts.total)),
        "delta_eo": float(gap(counts.table, CRITERION)),
    }


def at_equal_gap(rows: pd.DataFrame) -> pd.DataFrame:
    """The adapters beside the heads at the same gap, paired by seed, with 95 % half-widths.

    Columns: ``strength``, ``error``, ``delta_eo`` (the adapter's means), ``head_error`` (the head's
    mean at the adapter's gap, interpolated along its path at each seed), ``difference`` and
    ``half_width`` of the paired difference, ``seeds``.
    """
    found = []
    adapters = rows[rows["part"] == ADAPTER]
    for strength, part in adapters.groupby("strength"):
        paths = [rows[(rows["part"] == HEAD) & (rows["seed"] == seed)] for seed in part["seed"]]
        heads = np.array(
            [
                error_at(path["delta_eo"].to_numpy(), path["error"].to_numpy(), level)
                for path, level in zip(paths, part["delta_eo"], strict=True)
            ]
        )
        difference = part["error"].to_numpy() - heads
        number = len(difference)
        spread_of = difference.std(ddof=1) / np.sqrt(number) if number > 1 else np.nan
        found.append(
            {
                "strength": strength,
                "error": part["error"].mean(),
                "delta_eo": part["delta_eo"].mean(),
                "head_error": heads.mean(),
                "difference": difference.mean(),
                "half_width": student.ppf(0.975, max(1, number - 1)) * spread_of,
                "seeds": number,
            }
        )
    return pd.DataFrame(found)


def page(rows: pd.DataFrame, command: str, machine: str) -> str:
    """The study as a Markdown page."""
    heads = rows[rows["part"] == HEAD].groupby("strength")[["error", "delta_eo"]].mean()
    lines = [
        "# An adapter on the last block against the head alone",
        "",
        f"Rank {RANK} on {' and '.join(LAST_BLOCK)}, {EPOCHS} epochs, {rows['seed'].nunique()} "
        "seeds with a split of their own; both fitted on the train rows at the same ridge, decided "
        f"at the same threshold. Made by `{command}` on {machine}.",
        "",
        markdown_table(
            ("head alone, strength", "Err %", "ΔEO"),
            (
                (f"{strength:g}", f"{row['error']:.2f}", f"{row['delta_eo']:.3f}")
                for strength, row in heads.iterrows()
            ),
        ),
        "",
        markdown_table(
            ("adapter, strength", "Err %", "ΔEO", "the head's Err at that ΔEO", "adapter - head"),
            (
                (
                    f"{row['strength']:g}",
                    f"{row['error']:.2f}",
                    f"{row['delta_eo']:.3f}",
                    f"{row['head_error']:.2f}",
                    f"{row['difference']:+.2f}±{row['half_width']:.2f}",
                )
                for row in at_equal_gap(rows).to_dict("records")
            ),
        ),
        "",
    ]
    return "\n".join(lines)
