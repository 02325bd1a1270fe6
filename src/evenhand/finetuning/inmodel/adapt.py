"""The last hidden layers moved with the head: by low-rank adapters that are merged, or whole.

A head can only reweigh features that were learnt for another aim. A rank-r change to the last
hidden layers moves them a little, and leaves the soft-gap penalty more room; every weight of a few
layers moves them further (METHOD section 6.4). The adapters are PEFT's LoRA, which serves any torch
module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from torch import nn

from evenhand._base.devices import device_of, precision_of
from evenhand._base.events import Telling
from evenhand._base.options import with_defaults
from evenhand._base.torch_calls import evaluating
from evenhand.criteria import Criterion
from evenhand.finetuning.inmodel.batches import as_batches
from evenhand.finetuning.inmodel.checkpoints import Checkpoint
from evenhand.finetuning.inmodel.evened import evened_head, gap_loss_of
from evenhand.finetuning.inmodel.frozen import fed
from evenhand.finetuning.inmodel.lora import adapters, lora_config, targets_of
from evenhand.finetuning.inmodel.moving import moving, moving_of
from evenhand.finetuning.inmodel.options import OPTIONS, AdaptOptions, check_budget
from evenhand.finetuning.inmodel.passes import copied, features_of, first_pass
from evenhand.finetuning.inmodel.training import (
    Epoch,
    OnEpoch,
    Training,
    head_rate,
    train_parts,
)
from evenhand.groups import Groups
from evenhand.heads.selection.requirements import require_groups
from evenhand.heads.selection.ridge import choose_ridge
from evenhand.heads.spec import FitControl
from evenhand.models.backbone import Backbone
from evenhand.models.load import wrap
from evenhand.rows import Rows


def adapt(
    model: nn.Module | Backbone,
    train: Any,
    *,
    target_modules: str | Sequence[str],
    rank: int | None = 1,
    head: str | None = None,
    criterion: str | Criterion = Criterion.EQUALIZED_ODDS,
    strength: float = 1.0,
    **options: Unpack[AdaptOptions],
) -> nn.Module:
    """Train low-rank adapters and the head with the soft-gap penalty, and merge them.

    First the head is fitted alone, to convergence; then adapters and head train together by AdamW
    on batches, the rest frozen and in eval mode (batch norm and dropout too); then the head is
    fitted once more, to convergence, on the features as they now are. What lies below the
    adapters runs once (see ``cache``).

    Args:
        model: returns logits; it is not changed. A :class:`evenhand.models.Backbone` brings
            its preparation of images or texts.
        train: ``(inputs, labels, groups)``, :class:`evenhand.tasks.task.Examples`, a mapping with
            ``inputs``, ``labels`` and the groups; or, for augmented or streamed inputs, an
            iterable that gives batches anew each time: tuples ``(inputs, labels, groups)`` or
            mappings with ``labels``, the groups and the model's keyword arguments.
        target_modules: the layers to adapt, as PEFT writes them: last parts of paths in a list, or
            a regular expression. The head is not among them: it trains whole.
        rank: of the adapters, r (in + out) parameters a layer. None: no adapters, every weight of
            the target modules moves; modules are then named by their paths or the last parts of
            them, and a block stands for all that is in it.
        head: path of the head; the last linear layer by default. Of another number of classes than
            the task's, it is replaced.
        criterion: what is to be even.
        strength: of the penalty; 0 is transfer learning with adapters.
        options: ``rank_pattern``: other ranks by layer name or regular expression, as PEFT's.
            ``groups``: the groups' key in mappings. ``classes``: the class names; the second of two
            is the positive one. ``ridge``: on the head; by cross-validated log-loss of the frozen
            features by default. ``epochs`` (15), ``batch_size`` (128), ``learning_rate`` (3e-3),
            ``weight_decay`` (1e-2): of the adapters' training; the head takes smaller steps where
            its features are wide. ``cache``: keep the input of the adapted part in memory; False
            runs the whole model each epoch: needed where every epoch sees other inputs
            (augmentation). ``device``: where the copy is trained, ``"auto"`` for the GPU where
            there is one, by default where the model is; what is returned is where the model was.
            ``precision``: of the forward passes of training, as mixed precision: ``"float32"``,
            ``"bfloat16"``, ``"float16"`` or ``"auto"`` (bfloat16 on a GPU that has it).
            ``prepare``: collates a list of raw inputs into what the model takes.
            ``accumulate``: batches whose gradients make one step. ``refit``: fit the head last;
            False leaves it as training did, for who fits another. ``checkpoint``: a file that
            keeps each epoch's end; the same call after an interruption goes on from it, and it is
            removed at the end. ``world``: the processes that
            train together (:func:`evenhand.heads.together`), each called with all rows and working
            on its part of every batch; all get the same model.
            ``seed``: of batches and of the adapters' first directions. ``compile``: run training
            by :func:`torch.compile`, which takes a minute first and needs a C++ compiler on a
            processor. ``validate``: called with the model and the epoch's number after each epoch,
            the whole model, in eval mode and without gradient; the numbers by name that it gives
            are the epoch's ``valid``. ``on_epoch``: called after each epoch, after that.
            ``on_event``: told of each epoch; see :mod:`evenhand.integrations.trackers`.

    Returns:
        A module of the class given, adapters merged, in the mode the model was in.

    Raises:
        InputError: data of another form, settings out of range, or a strength where nothing can be
            evened out (one group, or cells under 30 rows).
        ModelError: no head, or target modules that are not there.
        MissingExtraError: PEFT is not installed, and a rank is given.

    Example:
        >>> from torch import nn
        >>> rng = np.random.default_rng(0)
        >>> inputs = rng.normal(size=(400, 4)).astype(np.float32)
        >>> labels, sexes = (inputs[:, 0] > 0).astype(int), rng.choice(["F", "M"], 400)
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> fairer = eh.adapt(model, (inputs, labels, sexes), target_modules=["0"], epochs=1)
        >>> type(fairer[0]).__name__  # merged: the model's own layers again
        'Linear'
    """  # noqa: DOC502
    how = with_defaults(OPTIONS, options, "adapt")
    check_budget(how, strength, rank)
    lora = None if rank is None else lora_config(target_modules, rank, how["rank_pattern"])
    given = model if isinstance(model, Backbone) else wrap(model, head, prepare=how["prepare"])
    batches = as_batches(
        train,
        given.prepare,
        groups=how["groups"],
        size=how["batch_size"],
        seed=how["seed"],
        classes=how["classes"],
        world=how["world"],
    )
    device = device_of(how["device"]) or given.device
    own = copied(given, given.linear_head(), device)
    targets = moving_of(own, target_modules) if lora is None else targets_of(own, lora)
    with evaluating(own.model):
        passed = first_pass(own, batches, targets, cache=how["cache"])
        rows = passed.rows(how["classes"], getattr(batches, "values", None))
        rows = replace(rows, device=str(device))
        penalty = gap_loss_of(rows, criterion)
        if strength:
            require_groups(rows, "train")
            penalty.require_cells()
        same = given.pretrained_head and given.number_of_classes == len(rows.classes)
        start = own.linear_head() if same else None
        ridge = how["ridge"]
        if ridge is None:
            ridge = choose_ridge(rows, control=FitControl(start=start, seed=how["seed"]))
        first = evened_head(rows, criterion, strength, ridge=ridge, start=start)
    own = copied(own, first, device)
    slow = head_rate(how["learning_rate"], rows.features, rows.world)
    tell = Telling("adapt", how["on_event"])
    training = Training(
        how["epochs"],
        how["learning_rate"],
        slow,
        how["weight_decay"],
        strength,
        ridge,
        how["seed"],
        precision_of(how["precision"], device),
        how["accumulate"],
        _checkpoint(given, rows, how | {"targets": targets, "strength": strength, "ridge": ridge}),
        _both(how["on_epoch"], tell),
        how["compile"],
        how["validate"],
    )
    tell("started", strength=strength, **_plain(how | {"ridge": ridge}))
    source = passed.again(batches, rows.groups.names, device)
    with evaluating(own.model), fed(own.model, passed.cut) as feed:
        whole = moving(own.model, targets) if lora is None else None
        with whole or adapters(own.model, lora, how["seed"]):
            train_parts(own, source, feed, penalty, training)
        last = own.linear_head()
        if how["refit"]:
            moved, labels, codes = features_of(own, source, feed)
            groups = Groups(codes, rows.groups.names, how["groups"])
            rows = Rows(moved, labels, groups, rows.classes, rows.world, device=rows.device)
            last = evened_head(rows, criterion, strength, ridge=ridge, start=last)
    if training.checkpoint and rows.world.first:
        training.checkpoint.remove()
    tell("finished", rows=len(rows))
    return own.with_head(last).to(given.device)


def _checkpoint(given: Backbone, rows: Rows, how: Mapping[str, Any]) -> Checkpoint | None:
    """Where training is kept: it belongs to this model, these rows and these settings."""
    if how["checkpoint"] is None:
        return None
    left = ("checkpoint", "compile", "validate", "on_epoch", "on_event", "prepare", "world")
    settings = sorted((name, repr(value)) for name, value in how.items() if name not in left)
    digest = hashlib.sha256(f"{given.fingerprint} {rows.world.size} {settings}".encode())
    labels, codes = (rows.world.gather(part) for part in (rows.labels, rows.groups.codes))
    digest.update(np.concatenate([*labels, *codes]).tobytes())
    return Checkpoint(Path(how["checkpoint"]), digest.hexdigest())


def _plain(how: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are plain values."""
    return {key: value for key, value in how.items() if isinstance(value, str | int | float)}


def _both(on_epoch: OnEpoch | None, tell: Telling) -> OnEpoch:
    """Each epoch, told to its own callback and as an event."""

    def told(epoch: Epoch) -> None:
        if on_epoch is not None:
            on_epoch(epoch)
        tell("epoch", **asdict(epoch))

    return told
