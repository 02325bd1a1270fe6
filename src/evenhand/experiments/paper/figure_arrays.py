"""The arrays behind the paper's Fig. 1 and 3, kept beside the runs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evenhand._base.seals import seal_arrays
from evenhand.finetuning.mlp_adapter import network_of
from evenhand.finetuning.stage import Stage
from evenhand.fisher.head_fisher import head_fisher

if TYPE_CHECKING:
    from evenhand.models.mlp import MLP


DRAWN = 2_000
"""Rows whose representations are kept for Fig. 1."""


def save_fisher(stage: Stage, path: Path) -> None:
    """The head's group Fisher with its diagonal at the pre-trained weights (Fig. 3)."""
    head_fisher(stage.problem.train, stage.problem.head, diagonal=True).save(path)


def save_representation(stage: Stage, path: Path) -> None:
    """The head's inputs before and after the whole network is fine-tuned (Fig. 1).

    Fine-tuning the head alone leaves its inputs as they are, so the paper's figure can only show a
    whole network fine-tuned; that is what is drawn.
    """
    from evenhand.models.mlp import mlp_features

    network, tuned = network_of(stage.problem), fine_tuned(stage)
    inputs = np.asarray(stage.test_inputs)[:DRAWN]
    tensors: dict[str, np.ndarray] = {
        "before": mlp_features(network.model, inputs).astype(np.float32),
        "after": mlp_features(tuned, inputs).astype(np.float32),
        "groups": stage.test.groups.codes[:DRAWN],
    }
    names = {f"group.{i}": name for i, name in enumerate(stage.test.groups.names)}
    seal_arrays(path, tensors, names)


ARRAYS: dict[str, Callable[[Stage, Path], None]] = {
    "fisher": save_fisher,
    "representation": save_representation,
}
"""Runs that keep arrays for a figure instead of records."""


def fine_tuned(stage: Stage) -> MLP:
    """A copy of the whole network, fine-tuned on the new task without any penalty."""
    from evenhand.models.mlp import train_mlp
    from evenhand.tasks.task import Examples

    problem, network = stage.problem, network_of(stage.problem)
    train, valid = problem.train, problem.valid
    tuned: MLP = copy.deepcopy(network.model)
    train_mlp(
        tuned,
        Examples(network.train, train.labels, train.groups),
        Examples(network.valid, valid.labels, valid.groups),
        seed=problem.seed,
    )
    return tuned
