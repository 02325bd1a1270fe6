"""A model's forward pass, compiled where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from evenhand.errors import InputError


def forward_of(model: nn.Module, *, compile: bool) -> Callable[..., Any]:
    """What runs the model: itself, or torch's compiler's version of it on the same parameters."""
    if not compile:
        return model
    import torch

    compiled: Callable[..., Any] = torch.compile(model)
    return compiled


@contextmanager
def compiling(asked: bool) -> Iterator[None]:
    """Inside the block what torch's compiler lacks or cannot do is told in a line.

    Raises:
        InputError: there is no compiler for this device, or it cannot compile the model.
    """
    if not asked:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import CppCompileError

    try:
        yield
    except (TorchDynamoException, CppCompileError) as error:
        why = str(error).strip().splitlines()
        raise InputError(
            "torch cannot compile the model here: "
            f"{why[0] if why else type(error).__name__}; install a C++ compiler (g++), or leave "
            "out compile"
        ) from error
