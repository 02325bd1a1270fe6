"""The paper's idea below the head: hidden layers compressed by what weighs them, then fine-tuned.

Adult's MLP of five layers; its hidden layers become products of rank 2, 3 or 4, with the bias
refitted, weighed by nothing (SVD), at random, by the paper's neutralised diagonal, or by the
Kronecker-factored Fisher, pooled or balanced over groups or over group × label (METHOD 6.7).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evenhand._base.markdown import markdown_table
from evenhand._base.processes import spread
from evenhand._base.threads import one_thread
from evenhand.experiments.compare.statistics import mean_interval
from evenhand.experiments.methods.retrain import BATCH, EPOCHS, PATIENCE, gap_penalty
from evenhand.finetuning.mlp_stage import adult_stage
from evenhand.finetuning.stage import Stage
from evenhand.fisher.hooks import group_fisher
from evenhand.fisher.kronecker import kronecker_factors
from evenhand.fisher.lowrank import factorize_
from evenhand.fisher.neutralize import neutralize
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import f1_error, gap

if TYPE_CHECKING:
    from evenhand.models.mlp import MLP

LAYERS = 5
RANKS = (2, 3, 4)
TUNED_RANK = 2
"""The rank at which fine-tuning is looked at: where the weightings differ most before it."""

STRENGTHS = (0.0, 0.5)
WHOLE, PLAIN = "uncompressed", "SVD"
POOLED, BALANCED = "Kronecker, pooled", ("Kronecker, groups", "Kronecker, cells")
WEIGHTINGS = (
    PLAIN,
    "random",
    "the paper's diagonal",
    POOLED,
    *BALANCED,
)
MARGINS = {"error": 0.5, "delta_eo": 0.02}
"""Differences below these are called equivalent, where the whole interval lies within."""


def below_head(
    seeds: Sequence[int],
    *,
    tuned: bool = True,
    jobs: int = 1,
    on_done: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """One row a seed × rank × weighting × how it was fine-tuned, on the test rows.

    Args:
        seeds: each with its own split and pre-training.
        tuned: fine-tune too, at :data:`TUNED_RANK`.
        jobs: seeds at a time.
        on_done: called after each seed.

    Returns:
        Columns ``seed``, ``rank``, ``weighting``, ``tuned`` (``"before"``, ``"strength 0"``, …),
        ``error`` (100 - weighted F1, in %), ``delta_eo``.
    """
    parts = spread(_one, [(seed, tuned) for seed in seeds], jobs=jobs, on_done=on_done)
    return pd.DataFrame([row for part in parts for row in part])


def _one(seed: int, tuned: bool) -> list[dict[str, Any]]:
    with one_thread():
        stage = adult_stage(seed=seed, layers=LAYERS)
        rows = [_row(stage, _network(stage), seed, 0, WHOLE, "before")]
        for rank in RANKS:
            for weighting, model in _compressed(stage, rank):
                rows.append(_row(stage, model, seed, rank, weighting, "before"))
                for strength in STRENGTHS if tuned and rank == TUNED_RANK else ():
                    fitted = _fine_tuned(stage, model, strength)
                    how = f"strength {strength:g}"
                    rows.append(_row(stage, fitted, seed, rank, weighting, how))
    return rows


def _network(stage: Stage) -> MLP:
    network = stage.problem.network
    if network is None:
        raise RuntimeError("Adult's stage has its network")
    return network.model


def _compressed(stage: Stage, rank: int) -> Iterator[tuple[str, Any]]:
    problem, model = stage.problem, _network(stage)
    layers = [f"features.hidden{number}" for number in range(1, LAYERS)]
    fisher = group_fisher(
        model, [_batch(stage)], target_modules=layers, kronecker=True, kind="empirical"
    )
    pooled = kronecker_factors(fisher)
    means = {name: factors.mean for name, factors in pooled.items()}
    plain: dict[str, Any] = {name: np.ones_like(mean) for name, mean in means.items()}
    weights: dict[str, Any] = {
        PLAIN: plain,
        "random": neutralize(fisher, "random", seed=problem.seed),
        "the paper's diagonal": neutralize(fisher),
        POOLED: pooled,
        "Kronecker, groups": kronecker_factors(fisher, "groups"),
        "Kronecker, cells": kronecker_factors(fisher, "cells"),
    }
    for weighting in WEIGHTINGS:
        low = copy.deepcopy(model)
        factorize_(low, weights[weighting], rank=rank, means=means)
        yield weighting, low


def _batch(stage: Stage) -> tuple[Any, Any, Any]:
    import torch

    rows = stage.problem.train
    inputs = np.asarray(stage.inputs["train"], dtype=np.float32)
    return torch.as_tensor(inputs), torch.as_tensor(rows.labels), rows.groups.codes


def _fine_tuned(stage: Stage, model: Any, strength: float) -> Any:
    from evenhand.models.mlp import Budget, train_mlp
    from evenhand.tasks.task import Examples

    problem, fitted = stage.problem, copy.deepcopy(model)
    train, valid = (
        Examples(stage.inputs[name], rows.labels, rows.groups)
        for name, rows in (("train", problem.train), ("valid", problem.valid))
    )
    train_mlp(
        fitted,
        train,
        valid,
        seed=problem.seed,
        penalty=gap_penalty("equalized_odds", strength) if strength else None,
        budget=Budget(batch=BATCH, epochs=EPOCHS, patience=PATIENCE),
    )
    return fitted


def _row(
    stage: Stage, model: Any, seed: int, rank: int, weighting: str, tuned: str
) -> dict[str, Any]:
    import torch

    inputs = torch.as_tensor(np.asarray(stage.test_inputs), dtype=torch.float32)
    with torch.inference_mode():
        decisions = model(inputs).argmax(dim=1).numpy()
    test = stage.test
    counts = Counts.of(test.labels, decisions, test.groups, test.classes)
    return {
        "seed": seed,
        "rank": rank,
        "weighting": weighting,
        "tuned": tuned,
        "error": float(f1_error(counts.total)),
        "delta_eo": float(gap(counts.table, "equalized_odds")),
    }


def differences(
    rows: pd.DataFrame, of: Sequence[str] = WEIGHTINGS[1:], to: str = PLAIN
) -> pd.DataFrame:
    """Weightings minus another, paired over seeds, and what may be said of it.

    Args:
        rows: of :func:`below_head`.
        of, to: the weightings; all minus the plain SVD by default.
    """
    found = []
    keys = ["tuned", "rank"]
    for (tuned, rank), part in rows[rows["weighting"] != WHOLE].groupby(keys, sort=False):
        table = part.set_index(["seed", "weighting"]).sort_index()
        plain = table.xs(to, level="weighting")
        for weighting in of:
            one = table.xs(weighting, level="weighting")
            row: dict[str, Any] = {"tuned": tuned, "rank": rank, "weighting": weighting}
            for metric, margin in MARGINS.items():
                mean, low, high = mean_interval((one[metric] - plain[metric]).to_numpy())
                row |= {metric: mean, f"{metric}_low": low, f"{metric}_high": high}
                row[f"{metric}_said"] = _said(low, high, margin)
            found.append(row)
    return pd.DataFrame(found)


def _said(low: float, high: float, margin: float) -> str:
    if -margin <= low and high <= margin:
        return "equivalent"
    if low > 0 or high < 0:
        return "higher" if low > 0 else "lower"
    return "cannot be told"


def page(rows: pd.DataFrame, command: str, machine: str) -> str:
    """The study as Markdown."""
    keys = ["tuned", "rank", "weighting"]
    means = rows.groupby(keys, sort=False)[["error", "delta_eo"]].mean().reset_index()
    seeds = rows["seed"].nunique()
    shown = [
        (
            *(row["tuned"], row["rank"] or "", row["weighting"]),
            *(f"{row['error']:.2f}", f"{row['delta_eo']:.3f}"),
        )
        for row in means.to_dict("records")
    ]
    return "\n".join(
        [
            "# The paper's weighting below the head",
            "",
            f"Adult's MLP-{LAYERS}, its hidden layers factorised at a low rank with their bias "
            f"refitted, and decided on the test rows as they are, and after fine-tuning of all "
            f"factors to convergence, with and without a soft gap. {seeds} seeds with splits and "
            f"pre-training of their own. Made by `{command}` on {machine}.",
            "",
            markdown_table(("fine-tuned", "rank", "weighting", "Err %", "ΔEO"), shown),
            "",
            "## Against the plain SVD",
            "",
            f"Paired over seeds, mean and 95 % interval. *Equivalent*: the interval lies within "
            f"±{MARGINS['error']:g} points of error, or ±{MARGINS['delta_eo']:g} of ΔEO.",
            "",
            _apart(differences(rows)),
            "",
            "## Whether it matters that the weights know groups",
            "",
            f"The Fisher balanced over groups, or over group × label (cells), minus the pooled one "
            f"({POOLED}); paired over the same seeds, in the same words.",
            "",
            _apart(differences(rows, BALANCED, POOLED)),
            "",
        ]
    )


def _apart(differences: pd.DataFrame) -> str:
    shown = [
        (
            row["tuned"],
            row["rank"],
            row["weighting"],
            *(
                f"{row[m]:+.{d}f} [{row[f'{m}_low']:+.{d}f}, {row[f'{m}_high']:+.{d}f}], "
                f"{row[f'{m}_said']}"
                for m, d in (("error", 2), ("delta_eo", 3))
            ),
        )
        for row in differences.to_dict("records")
    ]
    return markdown_table(("fine-tuned", "rank", "weighting", "d Err", "d ΔEO"), shown)
