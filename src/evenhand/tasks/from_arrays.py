"""A task from what a caller holds in memory: inputs, labels and groups of each split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.arrays import Table
from evenhand._base.columns import columns, names_of, rows
from evenhand.errors import InputError
from evenhand.groups import Groups, coded_columns
from evenhand.tasks.from_torch import (
    is_dataset,
    is_loader,
    parts_of_dataset,
    parts_of_loader,
)
from evenhand.tasks.given_labels import code_splits
from evenhand.tasks.inputs import digest_of
from evenhand.tasks.labels import MAX_GROUPS
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
        InputError: a split of another form, without rows, or with numbers that are not finite;
            labels or groups of different kinds in different splits, or too many.
    """
    if classes is not None:
        classes = _class_names(classes)
    given = {
        split: three_parts(value, groups, split)
        for split, value in {"train": train, "valid": valid, "test": test}.items()
    }
    _require_same_columns({split: part[0] for split, part in given.items()})
    labels, names, notes = code_splits({s: part[1] for s, part in given.items()}, classes)
    inputs = {s: _rows_of_numbers(part[0], s) for s, part in given.items()}
    coded = _code_groups({s: part[2] for s, part in given.items()}, groups)
    for split in given:
        if not len(labels[split]):
            raise InputError(f"{split} has 0 rows; give it some, all three splits are needed")
        _require_finite(inputs[split], split)
    examples = {s: Examples(inputs[s], labels[s], coded[s]) for s in given}
    return Task(
        name=name,
        classes=names,
        label="label",
        train=examples["train"],
        valid=examples["valid"],
        test=examples["test"],
        fingerprint=_fingerprint(examples.values()),
        notes=notes,
    )


def three_parts(value: Any, groups: str, split: str) -> tuple[Any, Any, Any]:
    """Inputs, labels and groups of a split, given in any of the usual forms.

    Raises:
        InputError: another form, or a mapping without one of its keys.
    """
    if isinstance(value, Examples):
        return value.inputs, value.labels, value.groups
    if isinstance(value, Mapping):
        missing = [key for key in ("inputs", "labels", groups) if key not in value]
        if missing:
            raise InputError(
                f"{split} has no {missing[0]!r}; its keys are {', '.join(map(str, value))}"
            )
        return value["inputs"], value["labels"], value[groups]
    if isinstance(value, tuple) and len(value) == 3:
        return value
    if isinstance(value, tuple) and len(value) == 2 and is_dataset(value[0]):
        return (*parts_of_dataset(value[0]), value[1])
    if is_loader(value):
        return parts_of_loader(value, groups, split)
    raise InputError(
        f"{split} must be (inputs, labels, groups), a mapping, Examples or a DataLoader of such "
        f"batches; or a frame, with label= saying its column; found {type(value).__name__}"
    )


def _class_names(classes: Any) -> tuple[str, ...] | None:
    if isinstance(classes, (str, bytes)) or not hasattr(classes, "__len__"):
        raise InputError(f"classes must be a list of the class names, found {classes!r}")
    names = tuple(str(name) for name in classes)
    if len(set(names)) < len(names):
        raise InputError(f"classes holds a name twice: {', '.join(names[:8])}")
    return names or None


def _code_groups(given: Mapping[str, Any], attribute: str) -> dict[str, Groups]:
    """The groups of every split, coded by the names found in any."""
    read = {
        split: _group_columns(values, f"the groups of {split}") for split, values in given.items()
    }
    first = next(iter(read.values()))
    for split, named in read.items():
        if set(named) != set(first):
            raise InputError(
                f"the groups of {split} are the columns {_shown(named)}, those of train "
                f"{_shown(first)}: give the same in all splits"
            )
    together = {
        name: np.concatenate([named[name].astype(object) for named in read.values()])
        for name in first
    }
    coded = coded_columns(together, attribute)
    if coded.number > MAX_GROUPS:
        raise InputError(
            f"{coded.attribute} has {coded.number:,} groups, more than {MAX_GROUPS}: it looks like "
            "a number or a name; cut it into groups first"
        )
    found, start = {}, 0
    for split, named in read.items():
        stop = start + len(next(iter(named.values())))
        found[split] = coded[slice(start, stop)]
        start = stop
    return found


def _group_columns(values: Any, what: str) -> dict[str, Table]:
    if isinstance(values, Groups):
        names = np.array([*values.names, None], dtype=object)
        return {"": names[values.codes]}
    found = columns(values, what)
    return {"": next(iter(found.values()))} if len(found) == 1 else found


def _shown(named: Iterable[str]) -> str:
    return ", ".join(name or "(one without a name)" for name in named)


def _require_same_columns(inputs: Mapping[str, Any]) -> None:
    """Refuse frames whose columns differ from train's, or stand in another order."""
    first = names_of(inputs["train"])
    for split, values in inputs.items():
        names = names_of(values)
        if first is None or names is None or names == first:
            continue
        if set(names) == set(first):
            raise InputError(
                f"the inputs of {split} have their columns in another order than train's: "
                f"give inputs[{list(first[:3])} …] in one order"
            )
        absent = [n for n in first if n not in names] or [n for n in names if n not in first]
        raise InputError(
            f"the inputs of {split} have other columns than train's, such as {absent[0]!r}"
        )


def _rows_of_numbers(inputs: Any, split: str) -> Any:
    found = rows(inputs, f"the inputs of {split}")
    if hasattr(found, "detach") and not hasattr(found, "__array_interface__"):
        try:
            tensor = found.detach().cpu()
            return (tensor.float() if tensor.element_size() == 2 else tensor).numpy()
        except (NotImplementedError, RuntimeError, TypeError) as error:
            raise InputError(
                f"the inputs of {split} are a tensor without numbers of its own ({found.layout} "
                f"on {found.device}): give a dense one"
            ) from error
    if not hasattr(found, "__len__") or isinstance(found, (str, bytes, Mapping, pd.DataFrame)):
        raise InputError(
            f"the inputs of {split} must be rows of what the model reads, "
            f"found {type(inputs).__name__}"
        )
    return found


def _fingerprint(parts: Iterable[Examples]) -> str:
    """sha256 of the labels and groups, and of inputs whose content can be read."""
    digest = hashlib.sha256()
    for part in parts:
        for array in (part.labels, part.groups.codes):
            digest.update(np.ascontiguousarray(array).tobytes())
        try:
            digest.update(digest_of(part.inputs).encode())
        except InputError:  # inputs of the caller's own kind: the labels must do
            digest.update(type(part.inputs).__name__.encode())
    return digest.hexdigest()


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
