"""How small a bound the rows of a task can support, before anything is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.finetuning.given import backbone_given, task_given
from evenhand.groups import Groups, known_groups
from evenhand.heads.selection.requirements import smallest_bounds
from evenhand.heads.selection.rule import CONFIDENCE, Rule
from evenhand.heads.selection.warnings import row_warnings
from evenhand.rows import Rows
from evenhand.tasks.task import Task

if TYPE_CHECKING:
    from torch import nn

    from evenhand.models.backbone import Backbone


@dataclass(frozen=True)
class Plan:
    """What some rows can support.

    Attributes:
        floors: criterion to the smallest bound that can be promised on them, about.
        confidence: of such a promise.
        rows: how many there are to fit and choose on.
        groups: their groups and sizes, in words.
        warnings: what makes their gaps uncertain, a sentence each.

    Example:
        >>> eh.Plan.of(rows).rows
        2000
    """

    floors: dict[Criterion, float]
    confidence: float
    rows: int
    groups: str
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, rows: Rows, confidence: float = CONFIDENCE) -> Plan:
        """The plan of the rows to fit and choose on.

        Raises:
            InputError: a confidence out of range.
        """
        criteria = tuple(Criterion)
        floors = {
            criterion: smallest_bounds(rows, Rule(criterion=criterion, confidence=confidence))
            for criterion in criteria
        }
        return cls(
            {criterion: found[criterion] for criterion, found in floors.items()},
            confidence,
            len(rows),
            known_groups(rows.groups),
            tuple(row_warnings(rows, criteria)),
        )


def plan(
    model: nn.Module | Backbone | None,
    *data: Any,
    groups: str = "group",
    classes: Sequence[str] | None = None,
    head: str | None = None,
    confidence: float = CONFIDENCE,
) -> Plan:
    """Tell how small a bound the rows can support. Nothing is fitted and no model is run.

    Args:
        model, data, groups, classes, head: as :func:`evenhand.finetune` takes them.
        confidence: of the promise.

    Raises:
        InputError: data of another form, or a confidence out of range.
        ModelError: no head, or an ambiguous one.

    Example:
        >>> task = eh.tasks.table("people.csv", label="income", groups="sex")
        >>> found = eh.plan(None, task)
        >>> found.rows, round(found.floors[eh.Criterion.DEMOGRAPHIC_PARITY], 2)
        (750, 0.05)
    """
    task = task_given(data, groups, classes)
    backbone = backbone_given(model, head, task)
    if backbone is not None:
        features = backbone.in_features
    elif np.ndim(task.train.inputs) == 2:
        features = np.shape(task.train.inputs)[1]
    else:
        raise InputError(f"task {task.name!r} is no table of numbers: give its model")
    return Plan.of(_rows_of(task, features), confidence)


def _rows_of(task: Task, features: int) -> Rows:
    """The rows to fit and choose on, with features that take no room: only their number counts."""
    parts = (task.train, task.valid)
    labels = np.concatenate([part.labels for part in parts])
    codes = np.concatenate([part.groups.codes for part in parts])
    groups = Groups(codes, task.train.groups.names, task.attribute)
    nothing = np.broadcast_to(np.zeros(1), (len(labels), features))
    return Rows(nothing, labels, groups, task.classes)
