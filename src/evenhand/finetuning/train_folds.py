"""A model trained without each fold of the development rows, and on all, below its head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand._base.arrays import FloatArray, IntArray
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.finetuning.models_shared import Made, made_by_all
from evenhand.head import Head
from evenhand.heads.selection.rule import Rule
from evenhand.rows import Rows
from evenhand.tasks.inputs import Joined, View
from evenhand.tasks.task import Examples

if TYPE_CHECKING:
    import torch

    from evenhand.finetuning.inmodel.cut_rows import CutRows
    from evenhand.finetuning.inmodel.training import Epoch, Training
    from evenhand.finetuning.request import FinetuneRequest
    from evenhand.finetuning.stage import Stage
    from evenhand.models.backbone import Backbone

HEAD, LAST_LAYER, EVERYTHING = "head", "last-layer", "all"
"""What of a model can be trained."""


FOLDS = 3
"""Of the rows: with more each model is more like the one of all rows, and takes its time."""


EPOCHS = {LAST_LAYER: 2, EVERYTHING: 5}
RATE, DECAY, BATCH, STRENGTH = 2e-4, 1e-2, 128, 1.0
"""Of AdamW, and of the penalty in its loop: the heads fitted afterwards have the strengths."""


Told = Callable[..., None]
"""Called after each epoch."""


@dataclass(frozen=True, eq=False)
class Seen:
    """The development and the test rows as a model sees them, and the model as its heads do.

    ``head``: the one it was trained with.
    """

    backbone: Backbone
    development: FloatArray
    test: FloatArray | None
    head: Head


def models_of_folds(
    stage: Stage,
    request: FinetuneRequest,
    rule: Rule,
    folds: IntArray,
    on_epoch: Callable[[], None] | None = None,
) -> Iterator[Seen]:
    """A model trained without each fold of the development rows, and last one on all of them.

    Args:
        stage: brings the model and the inputs of every split.
        request: what is trained, what heads read, and how the model is run.
        rule: its first criterion is what training evens out.
        folds: (N,) the fold of each development row.
        on_epoch: called after each epoch of each model.

    Raises:
        InputError: nothing can be evened out without a fold, or an input that cannot be read
            any more.
        ModelError: a model whose last block cannot be told.
    """  # noqa: DOC502

    def told(_: Epoch | None = None) -> None:
        if on_epoch:
            on_epoch()

    models = None
    if request.trained == LAST_LAYER:
        models = _above_a_cut(stage, request, rule, folds, told)
    yield from models or _each_whole(stage, request, rule, folds, told)


def _above_a_cut(
    stage: Stage, request: FinetuneRequest, rule: Rule, folds: IntArray, told: Told
) -> Iterator[Seen] | None:
    """The models whose last block is trained; None where the model cannot be cut below it.

    What lies below runs once for all of them. Heads read the trained block alone: depths below it
    are as they were, and added nothing to it.
    """
    from evenhand._base.devices import device_of
    from evenhand.finetuning.inmodel.passes import copied
    from evenhand.finetuning.inmodel.remembered import Remembered

    backbone, rows, inputs = stage.backbone, stage.problem.development, _inputs(stage)
    device = device_of(request.device) or backbone.device
    own = copied(backbone, stage.problem.head, device)
    number = int(folds.max()) + 1
    parts = [np.flatnonzero(folds == fold) for fold in range(number)]
    blocks = [(View(inputs, one), rows[one]) for one in parts]
    blocks.append((View(stage.inputs["test"], np.arange(len(stage.test))), stage.test))
    caught = _caught(stage, request, [one for one, _ in blocks], device)
    remembered = Remembered.of(own, caught, blocks, size=BATCH, seed=stage.problem.seed)
    caught.clear()
    if remembered is None:
        return None
    how, criterion = _training(stage, request, device, told), _penalised(rule)

    elsewhere = partial(_all_told, request, told)
    every = tuple(range(number))
    kept = [*(every[:fold] + every[fold + 1 :] for fold in every), every]

    def make(at: int) -> Made:
        model, seen = remembered.trained(kept[at], criterion, how)
        model = replace(model, model=model.model.to(backbone.device), classes=rows.classes)
        features = np.empty((len(rows), seen[0].shape[1]), seen[0].dtype)
        for places, part in zip(parts, seen, strict=False):
            features[places] = part
        return Made(model, {"development": features, "test": seen[-1]})

    return (
        Seen(one.backbone, one.found["development"], one.found["test"], one.backbone.linear_head())
        for one in made_by_all(stage, len(kept), make, elsewhere)
    )


def _all_told(request: FinetuneRequest, told: Told) -> None:
    """The epochs of a model that another process trained."""
    for _ in range(EPOCHS[request.trained]):
        told()


def _caught(
    stage: Stage, request: FinetuneRequest, wanted: Sequence[View], device: torch.device
) -> CutRows:
    """What the last block reads of each row: of the pass that extracted the features, or where
    those came from the cache, of one more."""
    from evenhand.finetuning.inmodel.cut_rows import caught_anew
    from evenhand.models.find_taps import last_block

    caught = stage.caught
    if caught is not None and all(caught.holds(inputs) for inputs in wanted):
        return caught
    backbone = stage.backbone
    return caught_anew(
        backbone,
        [last_block(backbone)],
        wanted,
        batch_size=request.batch_size,
        device=device,
    )


def _each_whole(
    stage: Stage, request: FinetuneRequest, rule: Rule, folds: IntArray, told: Told
) -> Iterator[Seen]:
    """The models, each trained and read from the inputs on."""
    rows, inputs = stage.problem.development, _inputs(stage)
    every = np.arange(len(rows))
    kept = [*(np.flatnonzero(folds != fold) for fold in range(int(folds.max()) + 1)), every]

    def make(at: int) -> Made:
        part = kept[at]
        model = _train(stage, request, rule, rows[part], View(inputs, part), told)
        read = _reader(stage, model, request)
        found = {"development": _features(read, rows, inputs, request)}
        if part is every:
            found["test"] = _features(read, stage.test, stage.inputs["test"], request)
        return Made(model, found)

    elsewhere = partial(_all_told, request, told)
    for part, one in zip(kept, made_by_all(stage, len(kept), make, elsewhere), strict=True):
        read = _reader(stage, one.backbone, request)
        yield _scaled(read, one.found, part, one.backbone.linear_head())


def _train(
    stage: Stage,
    request: FinetuneRequest,
    rule: Rule,
    rows: Rows,
    inputs: View,
    told: Told,
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
        weight_decay=DECAY,
        cache=not whole,
        refit=False,
        device=request.device,
        precision=request.precision,
        seed=stage.problem.seed,
        on_epoch=told,
    )
    return replace(backbone, model=model, classes=rows.classes, pretrained_head=True)


def _training(stage: Stage, request: FinetuneRequest, device: Any, told: Told) -> Training:
    from evenhand._base.devices import precision_of
    from evenhand.finetuning.inmodel.training import Training

    return Training(
        EPOCHS[request.trained],
        RATE,
        RATE,
        DECAY,
        STRENGTH,
        stage.problem.ridge,
        stage.problem.seed,
        precision_of(request.precision, device),
        on_epoch=told,
    )


def _inputs(stage: Stage) -> Joined:
    """Those of the development rows."""
    return Joined(stage.inputs["train"], stage.inputs["valid"])


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


def _reader(stage: Stage, model: Backbone, request: FinetuneRequest) -> Backbone:
    """The model as its heads read it: trained whole, at the depths that are asked for."""
    from evenhand.finetuning.depth import deep_backbone

    if request.plain or request.trained == LAST_LAYER:
        return model
    return deep_backbone(model, stage.inputs["train"], request.depth) or model


def _features(read: Backbone, rows: Rows, inputs: Any, request: FinetuneRequest) -> FloatArray:
    from evenhand.models.features import extract

    examples = Examples(inputs, rows.labels, rows.groups)
    found = extract(read, examples, rows.classes, **request.running)
    if len(found.kept) < len(rows):
        raise InputError(
            f"{len(rows) - len(found.kept)} inputs that were read before cannot be read any more"
        )
    return found.rows.features


def _scaled(read: Backbone, found: dict[str, FloatArray], part: IntArray, head: Head) -> Seen:
    """Every block brought to the size of the head's own input on the rows trained on.

    ``head``: of that input alone, which stands first and stays as it is.
    """
    from evenhand.finetuning.depth import scaled_depth
    from evenhand.models.deep_readout import DeepReadout

    if isinstance(read.model, DeepReadout):
        depth = scaled_depth(read, {"train": found["development"][part], **found})
        read, found = depth.backbone, {split: depth.features[split] for split in found}
    more = np.zeros((read.in_features - head.in_features, head.weight.shape[1]))
    padded = Head(np.concatenate([head.weight, more]), head.bias)
    return Seen(read, found["development"], found.get("test"), padded)
