"""Tensors on their way to a device and back, without the processor waiting for a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from evenhand._base.arrays import FloatArray

Fetch = Callable[[], FloatArray]
"""Waits for what was computed, and gives it."""


def changed(batch: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A batch with each of its tensors changed."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {name: changed(value, change) for name, value in batch.items()}
    if isinstance(batch, tuple):
        return tuple(changed(value, change) for value in batch)
    return batch


def pinned(batch: Any, device: torch.device) -> Any:
    """A batch whose tensors lie where a GPU can take them by itself; elsewhere as it is.

    Args:
        batch: tensors, or mappings and tuples of them.
        device: the GPU, if it is one.
    """
    if device.type != "cuda":
        return batch
    with torch.cuda.device(device):  # another thread's would be the first GPU
        return changed(batch, lambda tensor: tensor if tensor.is_cuda else tensor.pin_memory())


def sent(batch: Any, device: torch.device) -> Any:
    """A batch on ``device``; what is pinned is on its way to a GPU when this returns."""
    waits = device.type != "cuda"
    return changed(batch, lambda tensor: tensor.to(device, non_blocking=not waits))


def fetched(values: Tensor) -> Fetch:
    """How to get ``values`` as an array: at once, or from a GPU when it has computed them."""
    if values.device.type != "cuda":
        array: FloatArray = values.cpu().numpy()
        return lambda: array
    host = values.to("cpu", non_blocking=True)  # into pinned memory
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(values.device))

    def fetch() -> FloatArray:
        done.synchronize()
        found: FloatArray = host.numpy()
        return found

    return fetch
