"""Tasks: data with labels and groups, split."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from evenhand._base.lazy import lazy_names
from evenhand.errors import InputError

if TYPE_CHECKING:
    from evenhand.tasks.datasets.adult import adult
    from evenhand.tasks.datasets.celeba import celeba
    from evenhand.tasks.datasets.lfwa import lfwa
    from evenhand.tasks.image_task import images
    from evenhand.tasks.table_task import table
    from evenhand.tasks.task import Examples, Task
    from evenhand.tasks.text_task import text

_TASKS = {
    "adult": "evenhand.tasks.datasets.adult",
    "celeba": "evenhand.tasks.datasets.celeba",
    "lfwa": "evenhand.tasks.datasets.lfwa",
    "table": "evenhand.tasks.table_task",
    "images": "evenhand.tasks.image_task",
    "text": "evenhand.tasks.text_task",
}
"""The built-in tasks; the module is imported only when its task is asked for."""

_HOMES = _TASKS | dict.fromkeys(("Examples", "Task"), "evenhand.tasks.task")

__all__ = [
    "Examples",
    "Task",
    "adult",
    "celeba",
    "images",
    "lfwa",
    "load",
    "table",
    "text",
]

if not TYPE_CHECKING:
    __getattr__, _ = lazy_names(__name__, _HOMES)


def names() -> tuple[str, ...]:
    """The names of the built-in tasks."""
    return tuple(_TASKS)


def loader(name: str) -> Callable[..., Task]:
    """The function that makes the task called ``name``.

    Raises:
        InputError: no such task.
    """
    if name not in _TASKS:
        raise InputError(f"unknown task {name!r}; the built-in tasks are {', '.join(_TASKS)}")
    found: Callable[..., Task] = getattr(import_module(_TASKS[name]), name)
    return found


def load(name: str, /, **options: Any) -> Task:
    """The task called ``name``, made with ``options``.

    Args:
        name: a built-in task.
        options: the arguments of the task's function.

    Raises:
        InputError: no such task, or options that do not fit.

    Example:
        >>> eh.tasks.load("adult", seed=1).name
        'adult'
    """
    known = arguments(name)
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
    return loader(name)(**options)


def arguments(name: str) -> dict[str, inspect.Parameter]:
    """The arguments of a task's function, those taken by name in a table of options included.

    Raises:
        InputError: no such task.
    """  # noqa: DOC502
    from evenhand.tasks.options import FILE_OPTIONS

    named = dict(inspect.signature(loader(name)).parameters)
    if named.pop("options", None) is not None:
        keyword = inspect.Parameter.KEYWORD_ONLY
        named |= {n: inspect.Parameter(n, keyword, default=d) for n, d in FILE_OPTIONS.items()}
    return named
