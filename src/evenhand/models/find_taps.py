"""Where a head may read besides its own input: the ends of the stages before it.

One batch is traced. Blocks are the children of ``ModuleList`` and ``Sequential`` that have children
themselves, the outermost only; a stage ends where the shape of the blocks' outputs changes, and in
a transformer every block is one. Of the ends before the one that the head reads, the last are taken
(METHOD section 6.2). Of a network of linear layers it is what the last hidden one reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from evenhand._base.torch_calls import UNRUNNABLE, call, evaluating, shapes
from evenhand.errors import ModelError
from evenhand.models.backbone import Backbone
from evenhand.models.pooling import (
    FIRST,
    LAST,
    LAST_TOKEN,
    MASKED_MEAN,
    MEAN,
    ROW,
    SPACE,
    find_pooling,
)
from evenhand.models.taps import Seen, Side, Tap, watched

DEEPEST = 2
"""Stages that are read besides the head's own input."""


WIDEST = 4096
"""A place of more numbers a row is left out: it would be most of what the head reads."""


TOKENS = (LAST_TOKEN, MASKED_MEAN, MEAN, FIRST, LAST)


def find_taps(
    backbone: Backbone, inputs: Sequence[Any], most: int = DEEPEST
) -> tuple[Tap, tuple[Tap, ...]]:
    """What the head reads, and at most ``most`` stages before that, the nearest first.

    Args:
        backbone: the model; it is run in eval mode on ``inputs``, and is not changed.
        inputs: a few raw inputs, two or more.
        most: stages to look for.

    Returns:
        The head's own input, and the taps; none where the model has no such stage.

    Raises:
        ModelError: the model does not run on the inputs, or its head does not give its logits.
    """
    model = backbone.model
    named = dict(model.named_modules())
    linear = [path for path, module in named.items() if isinstance(module, nn.Linear)]
    levels = _levels(model)
    places: list[tuple[str, Side]] = [(backbone.head, "input")]
    places += [(path, "output") for level in levels for path in level]
    places += [(path, "input") for path in linear if path != backbone.head]
    batch = backbone.placed(backbone.prepare(inputs))
    with evaluating(model), torch.inference_mode(), watched(model, places) as seen:
        try:
            output = call(model, batch)
        except UNRUNNABLE as error:
            raise ModelError(
                f"{backbone.name} cannot run on a batch of {shapes(batch)}: "
                f"{type(error).__name__}: {error}"
            ) from error
        own = _own(backbone, seen, output, batch)
    if own is None:
        return Tap(backbone.head, "input", ROW, backbone.in_features), ()
    rows = len(seen[own.path, "input"][0])
    for level in levels:
        found = _stages(named, level, seen, own, rows)[-most:] if most else []
        if found:
            return own, tuple(reversed(found))
    hidden = _hidden_inputs(backbone.head, linear, seen, rows) if most else None
    if hidden is None:
        return own, ()
    read = seen[hidden.path, "input"][0]
    raw = isinstance(batch, Tensor) and batch.shape == read.shape and bool((batch == read).all())
    return own, (replace(hidden, raw=raw),)


def last_block(backbone: Backbone) -> str:
    """The path of the last of a model's outermost blocks: a transformer's last layer, for one.

    Raises:
        ModelError: it has none.
    """
    levels = _levels(backbone.model)
    below = [path for path in (levels or [[]])[0] if not f"{backbone.head}.".startswith(f"{path}.")]
    if not below:
        raise ModelError(f"{backbone.name} has no blocks: its layers cannot be told apart")
    return below[-1]


def _levels(model: nn.Module) -> list[list[str]]:
    """The outermost blocks, then those inside of them, and so on."""
    levels = [list(_blocks(model, ""))]
    while levels[-1]:
        inner = [
            block for path in levels[-1] for block in _blocks(model.get_submodule(path), f"{path}.")
        ]
        levels.append(inner)
    return levels[:-1]


def _blocks(module: nn.Module, prefix: str) -> Iterable[str]:
    lists = isinstance(module, (nn.ModuleList, nn.Sequential))
    for name, child in module.named_children():
        if lists and next(child.children(), None) is not None:
            yield prefix + name
        else:
            yield from _blocks(child, f"{prefix}{name}.")


def _own(backbone: Backbone, seen: Seen, output: Any, batch: Any) -> Tap | None:
    """The head's own input; None where the way it is pooled cannot be said in a word."""
    found = seen.get((backbone.head, "input"), [])
    if len(found) != 1:
        return None
    read, width = found[0], backbone.in_features
    if not isinstance(backbone.head_module, nn.Conv2d):
        name = find_pooling(read, backbone.apply_head, output, batch, head=backbone.head)
        return Tap(backbone.head, "input", name, width)
    last = read.movedim(1, -1)
    name = find_pooling(last, backbone.apply_head, output, batch, head=backbone.head)
    return Tap(backbone.head, "input", SPACE, width) if name == MEAN else None


def _stages(
    named: dict[str, nn.Module], level: Sequence[str], seen: Seen, own: Tap, rows: int
) -> list[Tap]:
    """The ends of the stages before the one that the head reads, in the order they run.

    Places are in ``seen`` in the order in which they were passed.
    """
    ran = [
        (path, tensors[0])
        for (path, side), tensors in seen.items()
        if side == "output" and path in set(level) and len(tensors) == 1
    ]
    ran = [(p, t) for p, t in ran if t.ndim > 1 and len(t) == rows and t.is_floating_point()]
    ends = [one for one, after in pairwise(ran) if one[1].shape[1:] != after[1].shape[1:]] + ran[
        -1:
    ]
    if len(ends) == 1 or (ran and ran[-1][1].ndim == 3):
        ends = ran
    taps = [_tap(path, named[path], tensor, own) for path, tensor in ends]
    if taps and taps[-1].width == own.width:
        taps = taps[:-1]
    return [tap for tap in taps if tap.width <= WIDEST]


def _tap(path: str, block: nn.Module, output: Tensor, own: Tap) -> Tap:
    if output.ndim == 2:
        return Tap(path, "output", ROW, output.shape[1])
    if output.ndim == 3:
        name = own.pooling if own.pooling in TOKENS else MASKED_MEAN
        return Tap(path, "output", name, output.shape[2])
    if _channels_last(block, output):
        return Tap(path, "output", MEAN, output.shape[-1])
    return Tap(path, "output", SPACE, output.shape[1])


def _channels_last(block: nn.Module, output: Tensor) -> bool:
    """Whether (B, …) activations end with their channels, told by their sizes and the weights."""
    widths = {int(p.shape[0]) for p in block.parameters() if p.ndim}
    first, last = output.shape[1] in widths, output.shape[-1] in widths
    if first != last:
        return last
    square = output.shape[1] == output.shape[2] != output.shape[-1]
    return square and output.shape[2] != output.shape[3]


def _hidden_inputs(head: str, linear: Sequence[str], seen: Seen, rows: int) -> Tap | None:
    """What the last hidden linear layer reads, where it is one row an example."""
    ran = [path for (path, side) in seen if side == "input" and path in set(linear)]
    if head not in ran or ran.index(head) == 0:
        return None
    path = ran[ran.index(head) - 1]
    found = seen[path, "input"]
    if len(found) != 1 or found[0].ndim != 2 or len(found[0]) != rows:
        return None
    if not found[0].is_floating_point() or found[0].shape[1] > WIDEST:
        return None
    return Tap(path, "input", ROW, found[0].shape[1])
