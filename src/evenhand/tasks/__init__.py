"""Tasks: data with labels and groups, split."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from evenhand.errors import InputError
from evenhand.tasks.base import Examples, Task

__all__ = ["Examples", "Task", "load"]

_LOADERS = {
    "adult": ("evenhand.tasks.adult", "adult"),
}
"""Name to (module, function); the module is imported only when its task is asked for."""


def names() -> tuple[str, ...]:
    """The names of the built-in tasks."""
    return tuple(_LOADERS)


def loader(name: str) -> Callable[..., Task]:
    """The function that makes the task called ``name``.

    Raises:
        InputError: no such task.
    """
    if name not in _LOADERS:
        raise InputError(f"unknown task {name!r}; the built-in tasks are {', '.join(_LOADERS)}")
    module, function = _LOADERS[name]
    found: Callable[..., Task] = getattr(import_module(module), function)
    return found


def load(name: str, **options: Any) -> Task:
    """The task called ``name``, made with ``options``."""
    return loader(name)(**options)
