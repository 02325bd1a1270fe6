"""The batches that training goes through, and how they come to a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from evenhand._base.transfers import changed, pinned, sent
from evenhand.finetuning.inmodel.batches import FixedBatches, GivenBatches, group_codes
from evenhand.heads.streaming.device_copy import free_bytes

SHARE = 1 / 3
"""Of a GPU's free memory, what is kept there of the batches; training needs the rest."""


PINNED = 8 << 30
"""Bytes of batches that are kept in pinned memory at most: it cannot be swapped out."""


@dataclass(frozen=True, eq=False)
class Step:
    """One batch: the model's inputs, labels, group codes, and the cut's input (or nothing).

    ``total``: its rows in all processes. Labels and codes are on the processor, which counts cells.
    """

    inputs: Any
    labels: Tensor
    groups: Tensor
    read: Tensor
    total: int

    def current(self, device: torch.device, dtype: torch.dtype | None) -> Tensor:
        """The cut's input as a model there computes, a copy the model may write over."""
        there = sent(self.read, device)  # in few bytes
        copy: Tensor = there.to(dtype or torch.float32, copy=True)
        return copy


class Streamed:
    """Batches given anew in every pass.

    Args:
        batches: given anew.
        names: of the groups, in the order of their codes.
        length: how many batches the last pass had.
    """

    def __init__(
        self, batches: FixedBatches | GivenBatches, names: Sequence[str], length: int
    ) -> None:
        self.batches, self.names, self.length = batches, names, length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Step]:
        for batch in self.batches:
            codes = group_codes(batch.groups, self.names)
            yield Step(batch.inputs, batch.labels, codes, torch.empty(0), batch.total)


def ready(steps: list[Step], device: torch.device) -> list[Step]:
    """Batches that come to a GPU without the processor: they are there, or in pinned memory.

    Args:
        steps: with what the cut reads.
        device: where the model is trained; on a processor they stay as they are.
    """
    if device.type != "cuda":
        return steps
    taken = sum(step.read.nbytes for step in steps)
    there = taken <= SHARE * (free_bytes(device) or 0)
    put = sent if there else pinned if taken <= PINNED else _as_it_is
    inputs = partial(changed, change=lambda tensor: _there(tensor, device))
    return [
        replace(step, inputs=inputs(step.inputs), read=put(step.read, device)) for step in steps
    ]


def _there(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on the device; one that is a single number there too takes no more room."""
    if tensor.ndim and not any(tensor.stride()):
        return tensor.flatten()[:1].to(device).view(()).expand(tensor.shape)
    return tensor.to(device)


def _as_it_is(tensor: Tensor, _: torch.device) -> Tensor:
    return tensor
