"""A fitted method's decisions on the test rows, counted."""

from __future__ import annotations

import numpy as np

from evenhand._base.arrays import FloatArray, IntArray
from evenhand.finetuning.problem import Fitted, decide
from evenhand.finetuning.stage import Stage
from evenhand.metrics.counts import Counts
from evenhand.report.record import Record
from evenhand.report.setting import Setting
from evenhand.rows import Rows
from evenhand.weights import sums_by


def score(
    stage: Stage, name: str, setting: Setting | str, fitted: Fitted, seconds: float
) -> Record:
    """Score a fitted method on the stage's test rows."""
    scores = fitted.predict(stage.queries)
    counts = count_decisions(scores, stage.test, randomised=fitted.randomised)
    notes = fitted.notes
    if fitted.needs_group:
        notes = (*notes, "needs the group at prediction")
    return Record(
        stage.task,
        name,
        setting if isinstance(setting, Setting) else Setting(setting),
        stage.problem.seed,
        counts,
        fitted.trainable_parameters,
        seconds,
        scores=_positive(scores) if fitted.head or fitted.gives_logits else None,
        notes=notes,
    )


def count_decisions(scores: FloatArray, rows: Rows, *, randomised: bool = False) -> Counts:
    """Counts of the decisions that scores (N, K) give; expected ones where randomised."""
    if not randomised:
        return Counts.of(rows.labels, decide(scores), rows.groups, rows.classes, rows.counting)
    g, k = rows.groups.number, len(rows.classes)
    table = np.zeros((g + 1, k, k))
    group: IntArray = np.where(rows.groups.known, rows.groups.codes, g)
    weights, squares = rows.counting, None
    if weights is not None:
        scores = scores * weights.values[:, None]
        squares = sums_by(group * k + rows.labels, (g + 1) * k, weights)[1].reshape(g + 1, k)
    np.add.at(table, (group, rows.labels), scores)
    return Counts(
        table[:g],
        table[g],
        rows.groups.names,
        rows.classes,
        rows.groups.attribute,
        squares=squares,
    )


def _positive(logits: FloatArray) -> FloatArray | None:
    """(N,) the probability of the positive class, for two classes."""
    if logits.shape[1] != 2:
        return None
    return np.asarray(1 / (1 + np.exp(np.clip(logits[:, 0] - logits[:, 1], -700, 700))))
