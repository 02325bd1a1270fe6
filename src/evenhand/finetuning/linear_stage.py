"""From a task of numbers to a problem, where no model is given: the numbers are the features."""

from __future__ import annotations

import time

import numpy as np

from evenhand._base.arrays import require_finite
from evenhand.errors import InputError
from evenhand.finetuning.linear_model import FINGERPRINT, LinearModel
from evenhand.finetuning.problem import Problem
from evenhand.finetuning.stage import FITTED, Stage
from evenhand.head import Head
from evenhand.heads.fit import fit_path
from evenhand.heads.selection.ridge import choose_ridge
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.rows import Rows
from evenhand.tasks.task import Task


def linear_stage(task: Task, seed: int) -> Stage:
    """A task of numbers as a linear model sees it; nothing is extracted, and torch is not needed.

    Args:
        task: of arrays.
        seed: every random choice of a method comes from it.

    Raises:
        InputError: its inputs are no arrays, or hold NaN or infinity.
    """  # noqa: DOC502
    began = time.perf_counter()
    rows = _rows(task)
    seconds = {"features": time.perf_counter() - began}
    train = rows["train"]
    return Stage(
        task.name,
        Problem(train, rows["valid"], first_head(train, seed), seed, fresh=True),
        rows["test"],
        None,
        LinearModel(train.features.shape[1], len(task.classes)),
        {"task": task.fingerprint, "model": FINGERPRINT},
        seconds,
        task.notes,
        task.raw,
        task.label,
        {name: task.splits[name].inputs for name in FITTED},
    )


def first_head(train: Rows, seed: int, *, intercept: bool = True) -> Head:
    """The head to begin from where the model has none: transfer learning's.

    Args:
        train: rows that it is fitted on.
        seed: of the choice of its ridge.
        intercept: False where the model's head has no bias.
    """
    ridge = choose_ridge(train, control=FitControl(seed=seed))
    return fit_path(train, HeadSpec(ridge=ridge, intercept=intercept))[0].head


def _rows(task: Task) -> dict[str, Rows]:
    """Every split's rows, with their numbers as features."""
    found = {}
    for name in FITTED:
        part = task.splits[name]
        inputs = np.asarray(part.inputs)
        if inputs.ndim != 2:
            raise InputError(f"task {task.name!r} needs a model: give --model NAME")
        with np.errstate(over="ignore"):  # infinity is refused
            features = inputs.astype(np.float32, copy=False)
        require_finite(features)
        found[name] = Rows(features, part.labels, part.groups, task.classes, weights=part.weights)
    return found
