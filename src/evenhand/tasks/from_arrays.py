"""A task from what a caller holds in memory: inputs, labels and groups of each split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from evenhand.errors import InputError
from evenhand.groups import Groups, as_groups
from evenhand.tasks.task import Examples, Task


def task_of(
    train: Any, valid: Any, test: Any, groups: str, classes: Sequence[str] | None, name: str
) -> Task:
    """The task of three splits, each as :func:`evenhand.finetune` takes them.

    Args:
        train, valid, test: ``(inputs, labels, groups)``, a mapping or ``Examples``.
        groups: what the groups are groups of, and their key in mappings.
        classes: the class names; those of the labels by default.
        name: of the task.

    Raises:
        InputError: a split of another form, without rows, or with numbers that are not finite.
    """
    parts = {
        split: _part(value, groups, split)
        for split, value in {"train": train, "valid": valid, "test": test}.items()
    }
    for split, (inputs, labels, _) in parts.items():
        if not len(labels):
            raise InputError(f"{split} has 0 rows; give it some, all three splits are needed")
        _require_finite(inputs, split)
    together = Groups.from_values(
        np.concatenate([np.asarray(part[2], dtype=object) for part in parts.values()]), groups
    )
    highest = max(int(np.max(part[1], initial=0)) for part in parts.values())
    names = tuple(classes) if classes else tuple(str(k) for k in range(highest + 1))
    examples, start = {}, 0
    for split, (inputs, labels, values) in parts.items():
        rows = slice(start, start + len(values))
        examples[split] = Examples(inputs, np.asarray(labels), together[rows])
        start += len(values)
    return Task(
        name=name,
        classes=names,
        label="label",
        train=examples["train"],
        valid=examples["valid"],
        test=examples["test"],
        fingerprint=_fingerprint(examples.values()),
    )


def _fingerprint(parts: Iterable[Examples]) -> str:
    """sha256 of the labels and groups, and of inputs that are arrays."""
    digest = hashlib.sha256()
    for part in parts:
        arrays = [part.labels, part.groups.codes]
        if isinstance(part.inputs, np.ndarray):
            arrays.append(part.inputs)
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _part(value: Any, groups: str, split: str) -> tuple[Any, Any, list[Any]]:
    if isinstance(value, Examples):
        names = (*value.groups.names, None)
        return value.inputs, value.labels, [names[code] for code in value.groups.codes]
    if isinstance(value, Mapping):
        missing = [key for key in ("inputs", "labels", groups) if key not in value]
        if missing:
            raise InputError(
                f"{split} has no {missing[0]!r}; its keys are {', '.join(map(str, value))}"
            )
        return value["inputs"], np.asarray(value["labels"]), _names(value[groups])
    if isinstance(value, tuple) and len(value) == 3:
        return value[0], np.asarray(value[1]), _names(value[2])
    raise InputError(
        f"{split} must be (inputs, labels, groups), a mapping or Examples, "
        f"found {type(value).__name__}"
    )


def _require_finite(inputs: Any, split: str) -> None:
    if not isinstance(inputs, np.ndarray) or inputs.dtype.kind != "f":
        return
    within = np.abs(inputs) <= np.finfo(np.float32).max
    bad = np.asarray(~within.all(axis=tuple(range(1, inputs.ndim))))
    if bad.any():
        raise InputError(
            f"the inputs of {split} hold NaN, infinity or numbers beyond float32's 3.4e38 in "
            f"{int(bad.sum())} of {len(bad)} rows; remove, impute or scale them"
        )


def _names(values: Any) -> list[Any]:
    coded = as_groups(values)
    names = (*coded.names, None)
    return [names[code] for code in coded.codes]
