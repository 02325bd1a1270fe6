"""A model whose layers below the head were trained too, as candidates of the same choice.

With ``trained: last-layer`` or ``all`` the last block, or everything, is trained with the soft-gap
penalty, and the whole path of heads is fitted on what the model then gives (METHOD section 6.4).
Features that were adapted on rows look fairer there than they are. So a model is trained on each
half of the development rows, its heads are fitted on that half and judged on the other; a third,
trained on all of them, is what is shipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand._base.arrays import FloatArray, IntArray
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.finetuning.linear_model import LinearModel
from evenhand.heads.selection.folds import fold_numbers
from evenhand.heads.selection.rule import Rule
from evenhand.rows import Rows
from evenhand.tasks.inputs import Joined, View
from evenhand.tasks.task import Examples

if TYPE_CHECKING:
    from evenhand.finetuning.request import FinetuneRequest
    from evenhand.finetuning.stage import Stage
    from evenhand.models.backbone import Backbone

HEAD, LAST_LAYER, EVERYTHING = PARTS = ("head", "last-layer", "all")
"""What of a model can be trained."""


HALVES = 2
EPOCHS = {LAST_LAYER: 2, EVERYTHING: 5}
RATE, BATCH, STRENGTH = 2e-4, 128, 1.0
"""Of AdamW, and of the penalty in its loop: the heads fitted afterwards have the strengths."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model and how it sees the rows.

    Attributes:
        backbone: trained on all development rows; its head reads what the features are.
        features: split to its (N, D) features.
        folds: (N,) the half of each development row.
        halves: of each half the (N, D) features of all development rows, by the model that was
            trained without it.
        deep: the features are those of several depths.
    """

    backbone: Backbone
    features: Mapping[str, FloatArray]
    folds: IntArray
    halves: tuple[FloatArray, ...]
    deep: bool


def models_needed(request: FinetuneRequest) -> int:
    """How often :func:`with_trained` calls ``on_fit``: once a model that is trained."""
    return 0 if request.trained == HEAD else HALVES + 1


def with_trained(
    stage: Stage,
    request: FinetuneRequest,
    rule: Rule,
    on_fit: Callable[[], None] | None = None,
) -> Stage:
    """The stage with its model trained below the head too, where that is asked for.

    Args:
        stage: brings the model and the inputs of every split.
        request: ``trained``: what is; ``plain`` and ``depth``: what the heads on it read; and how
            the model is run.
        rule: its first criterion is what training evens out.
        on_fit: called after each model.

    Raises:
        InputError: rows that have weights or are shared by processes, a model that reads features
            alone.
        ModelError: a model whose last block cannot be told.
    """  # noqa: DOC502
    if request.trained == HEAD:
        return stage
    rows, inputs = stage.problem.development, Joined(stage.inputs["train"], stage.inputs["valid"])
    _check(stage, rows)
    folds = fold_numbers(rows, number=HALVES, seed=stage.problem.seed).astype(np.int64)
    every = np.arange(len(rows))
    parts = [np.flatnonzero(folds != half) for half in range(HALVES)] + [every]
    models, seen, deep = [], [], False
    for part in parts:
        model = _train(stage, request, rule, rows[part], View(inputs, part))
        read, deep = _reader(stage, model, request)
        found = {"development": _features(read, rows, inputs, request)}
        if part is every:
            found["test"] = _features(read, stage.test, stage.inputs["test"], request)
        read, found = _scaled(read, found, part) if deep else (read, found)
        models.append(read)
        seen.append(found)
        if on_fit:
            on_fit()
    own, number = seen[-1], len(stage.problem.train)
    features = {
        "train": own["development"][:number],
        "valid": own["development"][number:],
        "test": own["test"],
    }
    halves = tuple(one["development"] for one in seen[:-1])
    return replace(stage, trained=Trained(models[-1], features, folds, halves, deep))


def _check(stage: Stage, rows: Rows) -> None:
    if rows.weights is not None:
        raise InputError("rows that have weights train a head only: leave out --train or --weight")
    if rows.world.size > 1:
        raise InputError(
            f"{rows.world.size} processes share the rows, and a model below its head is trained by "
            "one: leave out --train, or run one process"
        )
    if isinstance(stage.model, LinearModel):
        raise InputError("--train is for a model with layers below its head: give --model")


def _train(
    stage: Stage, request: FinetuneRequest, rule: Rule, rows: Rows, inputs: View
) -> Backbone:
    from evenhand.finetuning.inmodel.adapt import adapt
    from evenhand.models.find_taps import last_block

    backbone, which = stage.backbone, request.trained
    whole = which == EVERYTHING
    targets = _below_head(backbone) if whole else [last_block(backbone)]
    model = adapt(
        backbone,
        Examples(inputs, rows.labels, rows.groups),
        target_modules=targets,
        rank=None,
        criterion=_penalised(rule),
        strength=STRENGTH,
        classes=rows.classes,
        ridge=stage.problem.ridge,
        epochs=EPOCHS[which],
        batch_size=BATCH,
        learning_rate=RATE,
        cache=not whole,
        device=request.device,
        precision=request.precision,
        seed=stage.problem.seed,
    )
    return replace(backbone, model=model, classes=rows.classes, pretrained_head=True)


def _penalised(rule: Rule) -> Criterion:
    """What the loop evens out: the rule's first criterion, or the one whose heads serve it."""
    serving = [Criterion.parse(one.penalty) for one in rule.criteria if one.penalty]
    return serving[0] if serving else Criterion.EQUALIZED_ODDS


def _below_head(backbone: Backbone) -> list[str]:
    """Every module of the model that has parameters of its own, but the head."""
    return [
        path
        for path, module in backbone.model.named_modules()
        if path != backbone.head and next(module.parameters(recurse=False), None) is not None
    ]


def _reader(stage: Stage, model: Backbone, request: FinetuneRequest) -> tuple[Backbone, bool]:
    """The model as its heads read it, and whether they read several depths."""
    from evenhand.finetuning.depth import deep_backbone

    if request.plain:
        return model, False
    deep = deep_backbone(model, stage.inputs["train"], request.depth)
    return (model, False) if deep is None else (deep, True)


def _features(read: Backbone, rows: Rows, inputs: Any, request: FinetuneRequest) -> FloatArray:
    from evenhand.models.features import extract

    examples = Examples(inputs, rows.labels, rows.groups)
    found = extract(read, examples, rows.classes, **request.running)
    if len(found.kept) < len(rows):
        raise InputError(
            f"{len(rows) - len(found.kept)} inputs that were read before cannot be read any more"
        )
    return found.rows.features


def _scaled(
    read: Backbone, found: dict[str, FloatArray], part: IntArray
) -> tuple[Backbone, dict[str, FloatArray]]:
    """Every block brought to the size of the head's own input on the rows trained on."""
    from evenhand.finetuning.depth import scaled_depth

    depth = scaled_depth(read, {"train": found["development"][part], **found})
    return depth.backbone, {split: depth.features[split] for split in found}
