"""Features on a device: copied there once for all fits of the same rows, where they fit."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenhand._base.arrays import release
from evenhand.rows import Rows

STAGED_BYTES = 64 << 20
"""Copied at a time."""


FILLED = 0.9
"""Of the free memory that features and what passes need beside them may take."""


class _Held:
    """The copy made last: of rows that are still in use, or nothing."""

    def __init__(self) -> None:
        self.held: tuple[weakref.ref[Rows], Tensor] | None = None

    def of(self, rows: Rows, kind: torch.dtype, device: torch.device) -> Tensor | None:
        """The copy of these rows' features, if it is held."""
        if self.held is None:
            return None
        mine, tensor = self.held
        right = mine() is rows and (tensor.dtype, tensor.device) == (kind, device)
        return tensor if right else None

    def keep(self, rows: Rows, tensor: Tensor) -> None:
        """Hold a copy for as long as the rows are in use and no others come."""
        self.held = weakref.ref(rows, self._gone), tensor

    def drop(self) -> None:
        """Hold nothing."""
        self.held = None

    def _gone(self, reference: weakref.ref[Rows]) -> None:
        if self.held is not None and self.held[0] is reference:
            self.drop()


_HELD = _Held()


def features_on(
    rows: Rows, dtype: np.dtype[Any], device: torch.device, beside: int
) -> Tensor | str:
    """(N, d) the features of ``rows`` on a device; where there is no room, why not.

    One copy is held, for as long as its rows are in use: a ridge's choice, the paths and the folds
    of the same rows find it. (Rows are not to change; other features come with other rows.)

    Args:
        rows: this process's.
        dtype: of the products; features of fewer digits are kept as they are.
        device: where.
        beside: bytes that passes need there too.
    """
    kind = _kind(rows.features, dtype)
    held = _HELD.of(rows, _torch(kind), device)
    if held is not None:
        return held
    _HELD.drop()
    size = int(np.prod(rows.features.shape)) * kind.itemsize
    needed, free = size + beside + _a_row(rows), free_bytes(device)
    lacking = (
        f"features of {_gigabytes(size)} do not fit on {device}, where {_gigabytes(free or 0)} "
        "are free"
    )
    if free is not None and needed > FILLED * free:
        return lacking
    try:
        tensor = copied(rows.features, dtype, device)
    except torch.OutOfMemoryError:
        return lacking
    _HELD.keep(rows, tensor)
    return tensor


def let_go() -> None:
    """Hold no copy."""
    _HELD.drop()


def copied(features: Any, dtype: np.dtype[Any], device: torch.device) -> Tensor:
    """(N, d) features on a device, copied some rows at a time from an array or a memory map."""
    rows, width = features.shape
    kind = _kind(features, dtype)
    whole = torch.empty((rows, width), dtype=_torch(kind), device=device)
    step = min(rows, max(1, STAGED_BYTES // max(1, width * kind.itemsize)))
    staged = torch.empty((step, width), dtype=whole.dtype)
    if device.type == "cuda":
        staged = staged.pin_memory()  # what may not be moved is copied from at full speed
    for first in range(0, rows, max(1, step)):
        part = features[first : first + step]
        with np.errstate(over="ignore"):  # the first pass finds what is not finite
            staged.numpy()[: len(part)] = part
        release(part)
        whole[first : first + len(part)].copy_(staged[: len(part)])
    return whole


def free_bytes(device: torch.device) -> int | None:
    """What may be allocated on a device; None where it does not say."""
    if device.type != "cuda":
        return None
    reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + reserved


def _kind(features: Any, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Of the copy: the products' dtype, or the features' own where it has fewer digits."""
    own = np.dtype(features.dtype)
    return own if own in (np.float16, np.float32) and own.itemsize <= dtype.itemsize else dtype


def _torch(kind: np.dtype[Any]) -> torch.dtype:
    found: torch.dtype = getattr(torch, kind.name)
    return found


def _a_row(rows: Rows) -> int:
    """Bytes of labels, cells, folds and weights."""
    return 40 * len(rows)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
