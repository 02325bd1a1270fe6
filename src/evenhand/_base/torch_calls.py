"""Calling somebody's module: in eval mode, on its device, its logits found in what it returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from evenhand.errors import ModelError

UNRUNNABLE = (RuntimeError, ValueError, TypeError, LookupError, AttributeError)
"""What a module raises at inputs of another kind or shape than it reads."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; every module's own training flag is restored after it."""
    flags = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in flags.items():
            module.training = training


def call(model: nn.Module, batch: Any) -> Any:
    """The model on a batch: a mapping by keyword, a tuple by position, anything else as it is."""
    if isinstance(batch, Mapping):
        return model(**batch)
    if isinstance(batch, tuple):
        return model(*batch)
    return model(batch)


def shapes(batch: Any) -> str:
    """The shape of each tensor of a batch, in words."""
    if isinstance(batch, Tensor):
        return f"shape {tuple(batch.shape)}"
    if isinstance(batch, Mapping):
        return ", ".join(f"{name} of {shapes(value)}" for name, value in batch.items())
    if isinstance(batch, tuple):
        return ", ".join(map(shapes, batch))
    return f"type {type(batch).__name__}"


def to_device(batch: Any, device: torch.device) -> Any:
    """``batch`` with its tensors on ``device``."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple):
        return tuple(to_device(value, device) for value in batch)
    return batch


def model_logits(output: Any) -> Tensor | None:
    """The logits in what a model returned: a tensor, ``.logits``, ``["logits"]`` or the first."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        output = output.get("logits")
    elif isinstance(output, (tuple, list)):
        output = output[0] if output else None
    else:
        output = getattr(output, "logits", None)
    return output if isinstance(output, Tensor) else None


def logits_of(output: Any) -> Tensor:
    """The logits in what a model returned.

    Raises:
        ModelError: there are none.
    """
    logits = model_logits(output)
    if logits is None:
        raise ModelError(
            f"the model gives a {type(output).__name__} without logits: it must give a tensor, a "
            "tuple that starts with one, or an object that has logits"
        )
    return logits
