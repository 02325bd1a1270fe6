"""Layers of a model whose every weight moves, for the time of their training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from evenhand.errors import InputError, ModelError
from evenhand.models.backbone import Backbone


def moving_of(own: Backbone, target_modules: str | Sequence[str]) -> list[str]:
    """The paths of the modules that are named, by their whole path or its last parts.

    Raises:
        InputError: the head is among them.
        ModelError: there are none.
    """
    named = [target_modules] if isinstance(target_modules, str) else list(target_modules)
    found = [
        path
        for path, module in own.model.named_modules()
        if any(path == name or path.endswith(f".{name}") for name in named)
        and next(module.parameters(), None) is not None
    ]
    holding = [p for p in found if own.head == p or own.head.startswith(f"{p}.")]
    if holding:
        raise InputError(f"the head {own.head!r} trains whole: leave {holding[0]!r} out of those")
    if not found:
        raise ModelError(f"no layer of {own.name} is called {' or '.join(map(repr, named))}")
    return found


@contextmanager
def moving(model: nn.Module, targets: Sequence[str]) -> Iterator[None]:
    """Inside the block the parameters of ``targets`` ask for a gradient, and no other does."""
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    try:
        model.requires_grad_(False)
        for path in targets:
            model.get_submodule(path).requires_grad_(True)
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(flags[name])
