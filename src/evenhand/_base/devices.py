"""Where models run, and in what precision."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from evenhand.errors import InputError

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16", "float16"]

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def device_of(asked: str | torch.device | None) -> torch.device | None:
    """The device that is meant.

    Args:
        asked: a device, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``; ``"auto"``: the GPU where
            there is one, each process that a launcher started on one machine with its own (by
            ``LOCAL_RANK``), else the processor. None: wherever the model is.

    Raises:
        InputError: no such device, or it is not here.
    """
    import torch

    if asked is None:
        return None
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", _local_rank() % torch.cuda.device_count())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"no device {str(asked)!r}: give auto, cpu, cuda, cuda:N or mps"
        ) from error
    if device.type == "cuda":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= there:
            raise InputError(
                f"device {str(asked)!r} is not here: torch {torch.__version__} finds {there} CUDA "
                "devices; give auto or cpu"
            )
        if device.index is None:
            return torch.device("cuda", _local_rank() % there)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"device {str(asked)!r} is not here; give auto or cpu")
    return device


def precision_of(asked: str, device: torch.device | None) -> Precision:
    """The precision that is meant.

    Args:
        asked: one of :data:`PRECISIONS`; ``"auto"``: bfloat16 on a GPU that computes in it, else
            float32.
        device: where the model runs.

    Raises:
        InputError: no such precision.
    """
    import torch

    if asked not in PRECISIONS:
        raise InputError(f"no precision {asked!r}: give one of {', '.join(PRECISIONS)}")
    found: Any = asked
    if asked == "auto":
        able = device is not None and device.type == "cuda" and torch.cuda.is_bf16_supported()
        found = "bfloat16" if able else "float32"
    return found


@contextmanager
def computing(device: torch.device, precision: Precision) -> Iterator[None]:
    """Inside the block a model's forward passes compute in ``precision``, wherever they run.

    Other than float32 is automatic mixed precision. Float32 is so to its last digit: torch lets
    GPUs round what convolutions read to ten bits, unless it is told not to.

    Args:
        device: where the model is.
        precision: see :func:`precision_of`.
    """
    import torch

    if precision != "float32":
        with torch.autocast(device.type, dtype=getattr(torch, precision)):
            yield
        return
    convolutions = torch.backends.cudnn
    try:
        rounds = device.type == "cuda" and convolutions.allow_tf32
    except RuntimeError:  # said by torch's newer settings, which are the user's own
        rounds = False
    if not rounds:
        yield
        return
    convolutions.allow_tf32 = False
    try:
        yield
    finally:
        convolutions.allow_tf32 = True


def _local_rank() -> int:
    text = os.environ.get("LOCAL_RANK", "0")
    return int(text) if text.isdecimal() else 0
