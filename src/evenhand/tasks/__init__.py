"""Tasks: data with labels and groups, split."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from evenhand.errors import InputError
from evenhand.tasks.task import Examples, Task

__all__ = ["Examples", "Task", "load"]


_LOADERS = {
    "adult": ("evenhand.tasks.datasets.adult", "adult"),
    "celeba": ("evenhand.tasks.datasets.celeba", "celeba"),
    "lfwa": ("evenhand.tasks.datasets.lfwa", "lfwa"),
    "table": ("evenhand.tasks.table_task", "table"),
    "images": ("evenhand.tasks.image_task", "images"),
    "text": ("evenhand.tasks.text_task", "text"),
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


def load(name: str, /, **options: Any) -> Task:
    """The task called ``name``, made with ``options``.

    Args:
        name: a built-in task.
        options: the arguments of the task's function.

    Raises:
        InputError: no such task, or options that do not fit.
    """
    function = loader(name)
    known = inspect.signature(function).parameters
    unknown = [option for option in options if option not in known]
    if unknown:
        raise InputError(f"task {name} has no option {unknown[0]!r}; it has {', '.join(known)}")
    missing = [
        option
        for option, parameter in known.items()
        if parameter.default is parameter.empty and option not in options
    ]
    if missing:
        raise InputError(f"task {name} needs {', '.join(missing)}")
    return function(**options)
