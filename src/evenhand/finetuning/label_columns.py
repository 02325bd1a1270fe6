"""Where several labels are in what a caller gives: columns of a table, or beside the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evenhand._base.columns import columns, names_of
from evenhand._base.text import listed
from evenhand.errors import InputError
from evenhand.finetuning.given import PARTS
from evenhand.tasks.from_arrays import three_parts
from evenhand.tasks.task import Task


def require_several(labels: Sequence[str]) -> None:
    """Refuse one label, or one twice."""
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise InputError(
            f"several labels are needed, each once, found {listed(labels) or 'none'}: name them "
            "with labels=[…]; of one label use evenhand.finetune"
        )


def is_table(data: tuple[Any, ...]) -> bool:
    """Whether rows with their labels as columns are given, and not inputs with labels beside."""
    if len(data) == 1 and isinstance(data[0], Task):
        raise InputError(
            "a Task decides one label: give its table and labels=[…], or a Task each to "
            "evenhand.finetune"
        )
    if len(data) not in (1, 3):
        raise InputError(f"give one table, or train, valid and test; found {len(data)} of them")
    return len(data) == 1 or isinstance(data[0], str | Path) or names_of(data[0]) is not None


def label_splits(
    data: tuple[Any, ...], groups: str, named: Sequence[str]
) -> dict[str, tuple[Any, ...]]:
    """Label to train, valid and test with that label alone.

    Raises:
        InputError: the splits have other labels, or none of a name that is asked for.
    """
    parts = {
        split: three_parts(value, groups, split) for split, value in zip(PARTS, data, strict=True)
    }
    of_split = {split: _label_columns(part[1], split, named) for split, part in parts.items()}
    first = list(of_split["train"])
    for split, found in of_split.items():
        if list(found) != first:
            raise InputError(
                f"the labels of {split} are {listed(found)}, those of train {listed(first)}: give "
                "the same in all splits"
            )
    return {
        label: tuple(
            (parts[split][0], of_split[split][label], parts[split][2]) for split in of_split
        )
        for label in first
    }


def _label_columns(values: Any, split: str, named: Sequence[str]) -> dict[str, Any]:
    what = f"the labels of {split}"
    if isinstance(values, Mapping):
        found = {str(name): one for name, one in values.items()}
    else:
        found = dict(columns(values, what))
        if names_of(values) is None and named:
            if len(named) != len(found):
                raise InputError(
                    f"{what} have {len(found)} columns, and {len(named)} labels are named: "
                    f"{listed(named)}"
                )
            return dict(zip(named, found.values(), strict=True))
    absent = [name for name in named if name not in found]
    if absent:
        raise InputError(f"{what} have no {absent[0]!r}; there are {listed(found)}")
    return {name: found[name] for name in named} if named else found
