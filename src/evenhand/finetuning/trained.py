"""A model whose layers below the head were trained too, as candidates of the same choice.

With ``trained: last-layer`` or ``all`` the last block, or everything, is trained with the soft-gap
penalty, and heads are fitted on what the model then gives (METHOD section 6.4). Features that were
adapted on rows look fairer there than they are. So a model is trained without each fold of the
development rows, its heads are fitted on the rows it was trained on and judged on the fold; one
more, trained on all of them, is what is shipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from evenhand._base.arrays import FloatArray, IntArray
from evenhand.errors import InputError
from evenhand.finetuning.linear_model import LinearModel
from evenhand.finetuning.train_folds import EPOCHS, FOLDS, HEAD, STRENGTH, models_of_folds
from evenhand.head import Head
from evenhand.heads.selection.folds import fold_numbers
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.views import Views
from evenhand.rows import Rows

if TYPE_CHECKING:
    from evenhand.finetuning.request import FinetuneRequest
    from evenhand.finetuning.stage import Stage
    from evenhand.models.backbone import Backbone


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model and how it sees the rows.

    Attributes:
        backbone: trained on all development rows; its head reads what the features are.
        features: split to its (N, D) features.
        folds: (N,) the fold of each development row.
        without: of each fold the (N, D) features of all development rows, by the model that was
            trained without it.
        heads: those that the models were trained with, of each fold and last that of all rows.
        deep: the features are those of several depths.
    """

    backbone: Backbone
    features: Mapping[str, FloatArray]
    folds: IntArray
    without: tuple[FloatArray, ...]
    heads: tuple[Head, ...]
    deep: bool

    def views(self, rows: Rows) -> Views:
        """The development rows as the model of each fold sees them, and the one of all."""
        whole = np.concatenate([self.features["train"], self.features["valid"]])
        without = [rows.with_features(one) for one in self.without]
        return Views(rows.with_features(whole), self.folds, without, self.heads, STRENGTH)


def epochs_needed(request: FinetuneRequest) -> int:
    """How often :func:`with_trained` calls ``on_epoch``."""
    return 0 if request.trained == HEAD else (FOLDS + 1) * EPOCHS[request.trained]


def with_trained(
    stage: Stage,
    request: FinetuneRequest,
    rule: Rule,
    on_epoch: Callable[[], None] | None = None,
) -> Stage:
    """The stage with its model trained below the head too, where that is asked for.

    Args:
        stage: brings the model and the inputs of every split.
        request: ``trained``: what is; ``plain`` and ``depth``: what the heads on it read; and how
            the model is run.
        rule: its first criterion is what training evens out.
        on_epoch: called after each epoch of each model.

    Raises:
        InputError: rows that have weights or are shared by processes, a model that reads features
            alone.
        ModelError: a model whose last block cannot be told.
    """  # noqa: DOC502
    if request.trained == HEAD:
        return stage
    from evenhand.models.deep_readout import DeepReadout

    _check(stage)
    rows, seed = stage.problem.development, stage.problem.seed
    folds = fold_numbers(rows, number=FOLDS, seed=seed).astype(np.int64)
    seen = list(models_of_folds(stage, request, rule, folds, on_epoch))
    last, number = seen[-1], len(stage.problem.train)
    features = {"train": last.development[:number], "valid": last.development[number:]}
    if last.test is not None:
        features["test"] = last.test
    without = tuple(one.development for one in seen[:-1])
    heads = tuple(one.head for one in seen)
    deep = isinstance(last.backbone.model, DeepReadout)
    trained = Trained(last.backbone, features, folds, without, heads, deep)
    return replace(stage, trained=trained)


def _check(stage: Stage) -> None:
    rows = stage.problem.development
    if rows.weights is not None:
        raise InputError("rows that have weights train a head only: leave out --train or --weight")
    if rows.world.size > 1:
        raise InputError(
            f"{rows.world.size} processes share the rows, and a model below its head is trained by "
            "one: leave out --train, or run one process"
        )
    if isinstance(stage.model, LinearModel):
        raise InputError("--train is for a model with layers below its head: give --model")
