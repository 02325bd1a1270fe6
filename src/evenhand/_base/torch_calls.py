"""Calling somebody's module: in eval mode, on its device, its logits found in what it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from evenhand._base.columns import column
from evenhand.errors import InputError, ModelError

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


def call(model: Callable[..., Any], batch: Any) -> Any:
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


def to_device(batch: Any, device: torch.device, dtype: torch.dtype | None = None) -> Any:
    """``batch`` with its tensors on ``device``, those of floats as ``dtype`` where one is given."""
    if isinstance(batch, Tensor):
        return batch.to(device, dtype if batch.is_floating_point() else None)
    if isinstance(batch, Mapping):
        return {name: to_device(value, device, dtype) for name, value in batch.items()}
    if isinstance(batch, tuple):
        return tuple(to_device(value, device, dtype) for value in batch)
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


def class_logits(output: Any) -> Tensor:
    """(B, K) the logits in what a model returned; one logit, (B,) or (B, 1), as those of two.

    Raises:
        ModelError: there are none.
    """  # noqa: DOC502
    logits = logits_of(output)
    if logits.ndim == 1 or (logits.ndim == 2 and logits.shape[1] == 1):
        half = logits.reshape(-1, 1) / 2
        return torch.cat([-half, half], dim=1)
    return logits


def label_tensor(labels: Any) -> Tensor:
    """(B,) the labels of a batch, of any library, as whole numbers read by position.

    Raises:
        InputError: texts, fractions or missing labels: a batch alone cannot code them.
    """
    if isinstance(labels, Tensor) and labels.ndim == 1 and not labels.is_floating_point():
        return labels.long()
    found = column(labels, "the labels of a batch")
    try:
        whole = found.astype(np.int64)
        if (whole == found).all():
            return torch.as_tensor(whole)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(
        "the labels of a batch must be integers in [0, K), found such as "
        f"{found[0] if len(found) else 'none'!r}"
    )


@contextmanager
def placed(model: nn.Module, device: torch.device | None) -> Iterator[None]:
    """Eval mode on a device; the model's flags and its device are as before afterwards.

    Args:
        model: moved, where it is not there.
        device: None: where the model is.
    """
    before = next((p.device for p in model.parameters()), None)
    with evaluating(model):
        if device is not None:
            model.to(device)
        try:
            yield
        finally:
            if device is not None and before is not None:
                model.to(before)
