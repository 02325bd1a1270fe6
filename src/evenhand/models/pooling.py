"""Reduce what a head read to one row of features per example.

Most heads read (B, d). A decoder's score head reads every position (B, T, d) and the model keeps
the logits of one of them, or their mean; a 1×1 convolution reads (B, d, H, W) and the model takes
the mean. The head is linear, so pooling before it is pooling after it: the pooling that gives back
the model's own logits is the model's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from evenhand._base.torch_calls import model_logits
from evenhand.errors import ModelError

Apply = Callable[[Tensor], Tensor]

ROW, SPACE, MEAN = "row", "mean over space", "mean"
LAST_TOKEN, MASKED_MEAN, FIRST, LAST = "last token", "masked mean", "first", "last"
"""Poolings: none, over (B, d, H, W), and over the positions of (B, …, d)."""


def pool_features(read: Tensor, apply: Apply, output: Any, batch: Any, *, head: str) -> Tensor:
    """(B, d) the features of each example.

    Args:
        read: what the head read: (B, d), (B, …, d) for a linear layer, (B, d, H, W) for a
            convolution (told apart by ``apply``, which takes (B, d)).
        apply: the head's map of (B, d) to (B, k).
        output: what the model returned.
        batch: what the model was given, for its attention mask.
        head: the head's path, for errors.

    Raises:
        ModelError: no pooling of the positions gives the model's own logits.
    """  # noqa: DOC502
    return pool(read, find_pooling(read, apply, output, batch, head=head), batch)


def find_pooling(read: Tensor, apply: Apply, output: Any, batch: Any, *, head: str) -> str:
    """The name of the pooling after which the head gives the model's own logits.

    The arguments are :func:`pool_features`'s.

    Raises:
        ModelError: there is none.
    """
    if read.ndim == 2:
        return ROW
    logits = model_logits(output)
    if logits is not None:
        logits = logits.reshape(len(logits), -1)
        masked = mask_of(batch, read) is not None
        for name in (*((LAST_TOKEN, MASKED_MEAN) if masked else ()), MEAN, FIRST, LAST):
            if matches(apply(pool(read, name, batch)), logits):
                return name
    found = "none" if logits is None else tuple(logits.shape)
    raise ModelError(
        f"head {head!r} reads several positions, shape {tuple(read.shape)}, and neither the last "
        "token's, the first's nor the mean gives the model's logits "
        f"(shape {found}): something not linear lies between them; wrap the model in a module that "
        "pools before its head"
    )


def mask_of(batch: Any, read: Tensor) -> Tensor | None:
    """(B, T) the batch's attention mask, where it is one of the positions of ``read``."""
    mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    if isinstance(mask, Tensor) and mask.shape == read.shape[:2] and read.ndim == 3:
        return mask
    return None


def pool(read: Tensor, name: str, batch: Any) -> Tensor:
    """(B, d) one row an example of what was read at several positions.

    Args:
        read: (B, d), (B, …, d), or (B, d, …) for :data:`SPACE`.
        name: of the pooling; those that look at the attention mask do without where there is none.
        batch: what the model was given, for that mask.
    """
    if name == ROW:
        return read
    if name == SPACE:
        return read.flatten(2).mean(2) if read.ndim > 2 else read
    positions = read.flatten(1, -2)
    mask = mask_of(batch, read)
    if name == FIRST:
        return positions[:, 0]
    if name == LAST or (name == LAST_TOKEN and mask is None):
        return positions[:, -1]
    if name == MEAN or mask is None:
        return positions.mean(1)
    if name == LAST_TOKEN:
        steps = torch.arange(positions.shape[1], device=read.device)
        last = (steps * (mask != 0)).argmax(dim=1)
        return positions[torch.arange(len(read), device=read.device), last]
    weights = mask.to(positions.dtype).unsqueeze(-1)
    return (positions * weights).sum(1) / weights.sum(1).clamp(min=1)


def matches(found: Tensor, expected: Tensor) -> bool:
    """Whether two batches of logits are the same up to the precision they were computed in."""
    if found.shape != expected.shape:
        return False
    coarse = any(t.dtype in (torch.bfloat16, torch.float16) for t in (found, expected))
    found, expected = found.float(), expected.float()
    scale = float(expected.abs().max().clamp(min=1e-3)) if expected.numel() else 1.0
    return bool((found - expected).abs().max() <= (3e-2 if coarse else 1e-4) * scale)


def reproduces(found: Tensor, output: Any) -> bool:
    """Whether the head's outputs are what the model returns, as logits or as probabilities."""
    logits = model_logits(output)
    if logits is None:
        return False
    logits = logits.reshape(len(logits), -1)
    shapes = (found, found.softmax(-1), found.log_softmax(-1), found.sigmoid())
    return any(matches(shape, logits) for shape in shapes)
