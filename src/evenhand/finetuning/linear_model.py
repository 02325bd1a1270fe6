"""What is fine-tuned where no model is given: a linear one on the task's own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from evenhand._base.arrays import require_finite
from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.fit import fit_path
from evenhand.heads.selection.ridge import choose_ridge
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.heads.streaming.placing import let_go
from evenhand.rows import Rows

if TYPE_CHECKING:
    from evenhand.models.backbone import Backbone
    from evenhand.tasks.task import Task

FINGERPRINT = "682a91f12a9f45eb30a2ff7dc8a3564e37d6d854535676b778db60ffc25e703b"
"""That of every such backbone: the head is left out of it, and there is nothing else."""


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear model that has learnt nothing yet; a module of torch only once it is asked for.

    Attributes:
        inputs: how many numbers a row has.
        classes: how many classes it tells apart.
    """

    inputs: int
    classes: int

    @cached_property
    def backbone(self) -> Backbone:
        """The model as a backbone, whose features are the inputs themselves."""
        from evenhand.models import wrap
        from evenhand.models.mlp import MLP

        plain = MLP(self.inputs, self.classes, layers=1)
        return replace(wrap(plain, "head", name="linear"), pretrained_head=False)


def linear_rows(task: Task, splits: Sequence[str]) -> dict[str, Rows]:
    """The rows of splits, with their numbers as features.

    Args:
        task: of arrays.
        splits: their names.

    Raises:
        InputError: the inputs are no arrays, or hold NaN or infinity.
    """
    found = {}
    for name in splits:
        part = task.splits[name]
        inputs = np.asarray(part.inputs)
        if inputs.ndim != 2:
            raise InputError(f"task {task.name!r} needs a model: give --model NAME")
        with np.errstate(over="ignore"):  # infinity is refused
            features = inputs.astype(np.float32, copy=False)
        require_finite(features)
        found[name] = Rows(features, part.labels, part.groups, task.classes, weights=part.weights)
    return found


def first_head(train: Rows, seed: int, *, intercept: bool = True) -> Head:
    """The head to begin from where the model has none: transfer learning's.

    Args:
        train: rows that it is fitted on.
        seed: of the choice of its ridge.
        intercept: False where the model's head has no bias.
    """
    ridge = choose_ridge(train, control=FitControl(seed=seed))
    head = fit_path(train, HeadSpec(ridge=ridge, intercept=intercept))[0].head
    let_go()  # the model may be run, or trained, before other heads are fitted
    return head
