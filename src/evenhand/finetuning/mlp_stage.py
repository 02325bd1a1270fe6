"""Tables seen through MLPs: Adult through the paper's, any other through one that is given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand.finetuning.problem import Network, Problem
from evenhand.finetuning.stage import FITTED, Stage
from evenhand.rows import Rows
from evenhand.tasks.task import Task

if TYPE_CHECKING:
    from evenhand.models.mlp import MLP


PRETRAINING = 3
"""Raised when the pre-training changes, so that no older model is taken from the cache."""


OCCUPATION_HIDDEN = 64
"""The width of the MLP for Adult's occupation, 13 classes."""


def adult_stage(
    *,
    seed: int = 0,
    group: str = "sex",
    label: str = "income",
    layers: int = 2,
    hidden: int | None = None,
    cache: Path | None = None,
    depth: int | str = 0,
    on_epoch: Callable[[int], None] | None = None,
) -> Stage:
    """Adult with the paper's MLP, pre-trained on 60 % of the rows (section 4.1).

    Args:
        seed: of the split, the initial weights and every method's random choices.
        group, label: see :func:`evenhand.tasks.datasets.adult.adult`.
        layers: of the MLP, 2 to 5.
        hidden: its width; 10 for income as the paper's, 64 for occupation.
        cache: root of the caches, where the pre-trained model is kept; the platform's by default.
        depth: see :func:`task_stage`.
        on_epoch: called after each pre-training epoch.
    """
    from evenhand.models.mlp import HIDDEN, pretrain_mlp
    from evenhand.models.pretrained_mlp import cached_mlp
    from evenhand.tasks.datasets.adult import adult

    task = adult(seed=seed, group=group, label=label)
    began = time.perf_counter()
    width = hidden or (HIDDEN if label == "income" else OCCUPATION_HIDDEN)
    shape: dict[str, Any] = {"layers": layers, "hidden": width, "seed": seed}
    model, notes = cached_mlp(
        cache,
        {"task": task.fingerprint, "recipe": PRETRAINING, **shape},
        lambda: pretrain_mlp(
            task.splits["pretrain"], task.valid, len(task.classes), on_epoch=on_epoch, **shape
        ),
    )
    seconds = time.perf_counter() - began
    stage = mlp_stage(task, model, seed=seed, pretraining=seconds, depth=depth)
    return replace(stage, notes=(*stage.notes, *notes))


def mlp_stage(
    task: Task, model: MLP, *, seed: int, pretraining: float = 0.0, depth: int | str = 0
) -> Stage:
    """A task of arrays seen through an MLP; its features are computed here, not cached."""
    from evenhand.finetuning.depth import array_features, deep_backbone, scaled_depth
    from evenhand.models import wrap
    from evenhand.models.mlp import mlp_features, mlp_head

    began = time.perf_counter()
    rows = {
        name: Rows(
            mlp_features(model, part.inputs),
            part.labels,
            part.groups,
            task.classes,
            weights=part.weights,
        )
        for name, part in task.splits.items()
    }
    backbone = wrap(model, "head", name=f"MLP-{model.config['layers']}", classes=task.classes)
    stage = Stage(
        task.name,
        Problem(
            rows["train"],
            rows["valid"],
            mlp_head(model),
            seed,
            Network(model, task.train.inputs, task.valid.inputs),
        ),
        rows["test"],
        task.test.inputs,
        backbone,
        {"task": task.fingerprint, "model": backbone.fingerprint},
        {"pre-training": pretraining, "features": time.perf_counter() - began},
        task.notes,
        task.raw,
        task.label,
        {name: task.splits[name].inputs for name in FITTED},
    )
    deep = deep_backbone(backbone, task.train.inputs, depth)
    if deep is None:
        return stage
    read = {name: array_features(deep, inputs) for name, inputs in stage.inputs.items()}
    return stage.with_depth(scaled_depth(deep, read))
