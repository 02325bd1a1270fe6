"""Training a few parameters of a model by AdamW, with the soft-gap penalty."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from evenhand._base.arrays import FloatArray
from evenhand._base.devices import Precision
from evenhand._base.distributed import ALONE, World
from evenhand._base.torch_calls import call, class_logits, to_device
from evenhand._base.transfers import pinned, sent
from evenhand.errors import InputError
from evenhand.finetuning.inmodel.checkpoints import Checkpoint, restore, state_of
from evenhand.finetuning.inmodel.compiled import compiling, forward_of
from evenhand.finetuning.inmodel.frozen import Feed
from evenhand.finetuning.inmodel.steps import Step, Streamed
from evenhand.finetuning.inmodel.validating import Validate, validated
from evenhand.heads.gap_loss import GapLoss
from evenhand.models.backbone import Backbone

HEAD_STEP = 10
"""How far a step may move the logits, in learning rates."""


LOOK = 64
"""After so many batches a GPU is asked whether the loss is finite: each look waits for it."""


WARM_UP = 0.1
"""The share of the steps over which the learning rate rises."""


@dataclass(frozen=True)
class Epoch:
    """How an epoch went, for a progress callback.

    Attributes:
        number, of: which epoch, from 1.
        log_loss: mean over its rows.
        gap: mean over its batches of the soft-gap penalty.
        valid: what the caller's ``validate`` said of the model after it.
    """

    number: int
    of: int
    log_loss: float
    gap: float
    valid: Mapping[str, float] = field(default_factory=dict)


OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True)
class Training:
    """How to train; the head's own learning rate suits the size of what it reads.

    ``accumulate``: batches whose gradients make one step. ``checkpoint``: where each epoch's end is
    kept, and gone on from. ``compile``: run forward and backward passes compiled. ``validate``:
    looks at the model after each epoch.
    """

    epochs: int
    learning_rate: float
    head_rate: float
    weight_decay: float
    strength: float
    ridge: float
    seed: int
    precision: Precision = "float32"
    accumulate: int = 1
    checkpoint: Checkpoint | None = None
    on_epoch: OnEpoch | None = None
    compile: bool = False
    validate: Validate | None = None


def train_parts(
    own: Backbone, source: Sequence[Step] | Streamed, feed: Feed, gap: GapLoss, how: Training
) -> None:
    """Train whatever asks for a gradient, and the head, in place.

    Args:
        own: its model has its adapters in place.
        source: the batches; a sequence is gone through in another order each epoch.
        feed: takes each batch's cut input.
        gap: the penalty; its world are the processes that train together, each on its part of
            every batch, and end with the same model.
        how: epochs and rates.

    Raises:
        InputError: the loss stopped being finite, or a checkpoint is of other training.
    """  # noqa: DOC502
    head = list(own.head_module.parameters())
    adapters = [p for p in own.model.parameters() if p.requires_grad]
    for parameter in head:
        parameter.requires_grad_(True)
    parts: list[dict[str, Any]] = [
        {"params": adapters, "weight_decay": how.weight_decay, "peak": how.learning_rate},
        {"params": head, "peak": how.head_rate},
    ]
    optimizer = torch.optim.AdamW(parts, lr=how.learning_rate, weight_decay=0.0)
    optimizer.zero_grad()
    draw = torch.Generator().manual_seed(how.seed)
    mixed = torch.autocast(
        own.device.type,
        getattr(torch, how.precision) if how.precision != "float32" else None,
        enabled=how.precision != "float32",
    )
    moved = [*adapters, *head]
    device, dtype = own.device, own.dtype
    look = 1 if device.type == "cpu" else LOOK
    exact = torch.float32 if device.type == "mps" else torch.float64  # which that one has not
    forward = forward_of(own.model, compile=how.compile)
    begun, state = how.checkpoint.read() if how.checkpoint else (0, {})
    if state:
        restore(state, moved, optimizer, draw, gap)
    for number in range(begun, how.epochs):
        rows, batches = 0, 0
        losses, gaps = (torch.zeros((), dtype=exact, device=device) for _ in range(2))
        sound = torch.ones((), dtype=torch.bool, device=device)
        for step in _ordered(source, draw):
            done = number + min(1.0, batches / len(source))
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * _rate(done / how.epochs)
            feed.current = step.current(device, dtype)
            inputs = to_device(sent(pinned(step.inputs, device), device), device, dtype)
            with mixed, compiling(how.compile):
                logits = class_logits(call(forward, inputs))
            if how.precision != "float32":
                logits = logits.float()
            labels = sent(pinned(step.labels, device), device)
            sum_of = nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
            log_loss = sum_of * (gap.world.size / step.total)
            penalty = gap.trusting(logits, step.labels, step.groups)
            loss = log_loss + how.strength * penalty + _ridge(head[0], how.ridge)
            with compiling(how.compile):
                (loss / how.accumulate).backward()
            loss, batches = loss.detach(), batches + 1
            if batches % how.accumulate == 0 or batches == len(source):
                loss = _averaged(moved, loss, gap.world)
                sound = sound & torch.isfinite(loss)
                if batches % look == 0:
                    _require(sound, number)
                optimizer.step()
                optimizer.zero_grad()
            rows += len(labels)
            losses = losses + sum_of.detach()
            gaps = gaps + penalty.detach()
        _require(sound, number)
        total, count = gap.world.sum(np.array([float(losses), float(rows)]))
        if how.checkpoint and gap.world.first:
            how.checkpoint.write(number + 1, state_of(moved, optimizer, draw, gap))
        valid = validated(how.validate, own.model, feed, number + 1)
        if how.on_epoch:
            means = float(total / max(count, 1)), float(gaps) / max(batches, 1)
            how.on_epoch(Epoch(number + 1, how.epochs, *means, valid))
    optimizer.zero_grad()


def _require(sound: Tensor, epoch: int) -> None:
    """Refuse a loss that was not finite.

    Raises:
        InputError: it was not.
    """
    if not bool(sound):
        raise InputError(
            f"the loss is no longer finite in epoch {epoch + 1}: lower the learning rate"
        )


def _averaged(parameters: Sequence[nn.Parameter], loss: Tensor, world: World) -> Tensor:
    """Set each gradient to the processes' mean, in one exchange; the mean of their losses."""
    if world.size == 1:
        return loss
    moved = [parameter for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([*(torch.flatten(p.grad) for p in moved if p.grad is not None), loss[None]])
    torch.distributed.all_reduce(flat)
    flat /= world.size
    at = 0
    for parameter in moved:
        parameter.grad = flat[at : at + parameter.numel()].view_as(parameter).clone()
        at += parameter.numel()
    return flat[-1]


def head_rate(learning_rate: float, features: FloatArray, world: World = ALONE) -> float:
    """A learning rate at which a step moves the logits by at most :data:`HEAD_STEP` times the rate.

    AdamW moves each weight by about its learning rate, so that wide or large features make the
    logits jump.

    Args:
        learning_rate: of the adapters.
        features: (N, d) what the head reads.
        world: the processes that share the rows.
    """
    sums = np.array([np.abs(features).sum(dtype=np.float64), len(features)])
    total, number = world.sum(sums)
    norm = float(total / max(number, 1))
    return learning_rate * min(1.0, HEAD_STEP / max(norm, 1e-12))


def _ordered(source: Iterable[Step], draw: torch.Generator) -> Iterator[Step]:
    if not isinstance(source, Sequence):
        yield from source
        return
    for index in torch.randperm(len(source), generator=draw).tolist():
        yield source[index]


def _rate(done: float) -> float:
    """A short rise, then a cosine down to 0, of the share of the epochs that is done."""
    if done < WARM_UP:
        return max(done, 0.1 * WARM_UP) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _ridge(weight: Tensor, ridge: float) -> Tensor:
    """The ridge as :func:`evenhand.heads.fit_path` has it: of the difference, for two classes."""
    difference = weight[1] - weight[0] if len(weight) == 2 else weight
    return 0.5 * ridge * (difference**2).sum()
