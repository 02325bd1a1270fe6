"""From a task and a model to a problem: features of every split, and the head to begin from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand.groups import IntArray
from evenhand.methods.base import Fitted, Network, Problem, Queries, decide
from evenhand.metrics.counts import Counts
from evenhand.record import Record
from evenhand.rows import FloatArray, Rows


@dataclass(frozen=True, eq=False)
class Stage:
    """A problem with its test rows, which nothing is fitted or chosen on.

    Attributes:
        task: what the results call the task.
        problem: what methods see.
        test: the test rows.
        test_inputs: (N, inputs) what the whole network reads for them; None with features only.
        fingerprints: sha256 of the task and of the model.
        seconds: of making it (pre-training, features).
        notes: what a reader should know of how it was made.
    """

    task: str
    problem: Problem
    test: Rows
    test_inputs: FloatArray | None
    fingerprints: dict[str, str]
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def queries(self) -> Queries:
        """The test rows as a fitted method may read them."""
        return Queries(self.test.features, self.test_inputs, self.test.groups)


def score(stage: Stage, name: str, setting: str, fitted: Fitted, seconds: float) -> Record:
    """Score a fitted method on the stage's test rows."""
    scores = fitted.predict(stage.queries)
    counts = count_decisions(scores, stage.test, randomised=fitted.randomised)
    notes = fitted.notes
    if fitted.needs_group:
        notes = (*notes, "needs the group at prediction")
    return Record(
        stage.task,
        name,
        setting,
        stage.problem.seed,
        counts,
        fitted.trainable_parameters,
        seconds,
        scores=_positive(scores) if fitted.head is not None else None,
        notes=notes,
    )


def count_decisions(scores: FloatArray, rows: Rows, *, randomised: bool = False) -> Counts:
    """Counts of the decisions that scores (N, K) give; expected ones where randomised."""
    if not randomised:
        return Counts.of(rows.labels, decide(scores), rows.groups, rows.classes)
    g, k = rows.groups.number, len(rows.classes)
    table = np.zeros((g + 1, k, k))
    group: IntArray = np.where(rows.groups.known, rows.groups.codes, g)
    np.add.at(table, (group, rows.labels), scores)
    return Counts(table[:g], table[g], rows.groups.names, rows.classes, rows.groups.attribute)


def _positive(logits: FloatArray) -> FloatArray | None:
    """(N,) the probability of the positive class, for two classes."""
    if logits.shape[1] != 2:
        return None
    return np.asarray(1 / (1 + np.exp(np.clip(logits[:, 0] - logits[:, 1], -700, 700))))


OnStage = Callable[[str], Any]
"""Called with the name of each stage as it begins, for a progress display."""


def adult_stage(
    *,
    seed: int = 0,
    group: str = "sex",
    label: str = "income",
    layers: int = 2,
    hidden: int | None = None,
    on_epoch: Callable[[int], None] | None = None,
) -> Stage:
    """Adult with the paper's MLP, pre-trained on 60 % of the rows (section 4.1).

    Args:
        seed: of the split, the initial weights and every method's random choices.
        group, label: see :func:`evenhand.tasks.adult.adult`.
        layers: of the MLP, 2 to 5.
        hidden: its width; 10 for income as the paper's, 64 for occupation.
        on_epoch: called after each pre-training epoch.
    """
    import time

    from evenhand.models.mlp import HIDDEN, mlp_features, mlp_head, pretrain_mlp
    from evenhand.tasks.adult import adult

    task = adult(seed=seed, group=group, label=label)
    began = time.perf_counter()
    width = hidden or (HIDDEN if label == "income" else 64)
    pretrain = task.splits["pretrain"]
    model = pretrain_mlp(
        pretrain,
        len(task.classes),
        seed=seed,
        layers=layers,
        hidden=width,
        on_epoch=on_epoch,
    )
    trained = time.perf_counter()
    rows = {
        name: Rows(mlp_features(model, part.inputs), part.labels, part.groups, task.classes)
        for name, part in task.splits.items()
    }
    featured = time.perf_counter()
    network = Network(model, task.train.inputs, task.valid.inputs)
    return Stage(
        task.name,
        Problem(rows["train"], rows["valid"], mlp_head(model), seed, network),
        rows["test"],
        task.test.inputs,
        {"task": task.fingerprint},
        {"pre-training": trained - began, "features": featured - trained},
        task.notes,
    )
