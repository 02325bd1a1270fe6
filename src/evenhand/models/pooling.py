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
    """
    if read.ndim == 2:
        return read
    logits = model_logits(output)
    if logits is not None:
        logits = logits.reshape(len(logits), -1)
        for pooled in _poolings(read, batch):
            if matches(apply(pooled), logits):
                return pooled
    found = "none" if logits is None else tuple(logits.shape)
    raise ModelError(
        f"head {head!r} reads several positions, shape {tuple(read.shape)}, and neither the last "
        "token's, the first's nor the mean gives the model's logits "
        f"(shape {found}): something not linear lies between them; wrap the model in a module that "
        "pools before its head"
    )


def _poolings(read: Tensor, batch: Any) -> list[Tensor]:
    """The candidates, (B, d) each: last unmasked token, masked mean, mean, first, last."""
    positions = read.flatten(1, -2)
    number = positions.shape[1]
    pooled = []
    mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    if isinstance(mask, Tensor) and mask.shape == positions.shape[:2]:
        steps = torch.arange(number, device=read.device)
        last = (steps * (mask != 0)).argmax(dim=1)
        pooled.append(positions[torch.arange(len(read), device=read.device), last])
        weights = mask.to(positions.dtype).unsqueeze(-1)
        pooled.append((positions * weights).sum(1) / weights.sum(1).clamp(min=1))
    return [*pooled, positions.mean(1), positions[:, 0], positions[:, -1]]


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
