"""What a caller gives: a model in any form, and a task or its three splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evenhand.errors import InputError
from evenhand.tasks.from_arrays import task_of
from evenhand.tasks.task import Task

if TYPE_CHECKING:
    from torch import nn

    from evenhand.models.backbone import Backbone


def task_given(
    data: tuple[Any, ...], groups: str, classes: Sequence[str] | None, name: str = "task"
) -> Task:
    """The task that is given, or that of the three splits.

    Raises:
        InputError: neither is given, or the splits are of another form.
    """
    if len(data) == 1 and isinstance(data[0], Task):
        return data[0]
    if len(data) == 3:
        return task_of(*data, groups, classes, name)
    kinds = ", ".join(type(part).__name__ for part in data) or "nothing"
    raise InputError(f"give a model and a Task, or train, valid and test; found {kinds}")


def backbone_given(
    model: nn.Module | Backbone | None, head: str | None, task: Task
) -> Backbone | None:
    """The model as a backbone; None where none is given.

    Raises:
        InputError: ``head`` names another head than a backbone's own.
        ModelError: no head, or an ambiguous one.
    """
    from evenhand.models import Backbone, wrap

    if model is None:
        return None
    if not isinstance(model, Backbone):
        return wrap(model, head, classes=task.classes)
    if head not in (None, model.head):
        raise InputError(f"{model.name} has the head {model.head!r}, not {head!r}: leave out head")
    return model
