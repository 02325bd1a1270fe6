"""Inputs, labels and groups of what torch and torchvision hold data in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evenhand._base.arrays import Table
from evenhand.errors import InputError
from evenhand.tasks.images_at_hand import ImagesAtHand


def is_loader(value: Any) -> bool:
    """Whether it is a DataLoader, or something that batches a data set as one does."""
    return hasattr(value, "__iter__") and hasattr(value, "dataset") and hasattr(value, "batch_size")


def is_dataset(value: Any) -> bool:
    """Whether it is a data set of inputs with labels that is read by position."""
    plain = isinstance(value, list | tuple | dict | str) or hasattr(value, "dtype")
    return not plain and hasattr(value, "__getitem__") and hasattr(value, "__len__")


def parts_of_dataset(dataset: Any) -> tuple[Any, list[Any]]:
    """The inputs of a torch data set and their labels.

    Of torchvision's ``ImageFolder``, paths and the names of the folders: images are decoded when
    they are read, and prepared as the model prepares them, not by the folder's ``transform``.

    Args:
        dataset: gives ``(input, label)`` for a position.

    Raises:
        InputError: it gives something else.
    """
    if hasattr(dataset, "samples") and hasattr(dataset, "classes"):
        paths = [path for path, _ in dataset.samples]
        return ImagesAtHand(paths), [dataset.classes[code] for _, code in dataset.samples]
    pairs = [dataset[row] for row in range(len(dataset))]
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise InputError(
            f"a {type(dataset).__name__} must give (input, label): give (inputs, labels, groups)"
        )
    inputs = [pair[0] for pair in pairs]
    if inputs and hasattr(inputs[0], "shape"):
        return _joined([np.asarray(one)[None] for one in inputs]), [pair[1] for pair in pairs]
    return inputs, [pair[1] for pair in pairs]


def parts_of_loader(loader: Any, groups: str, split: str) -> tuple[Any, Any, Any]:
    """All that a DataLoader gives in one pass: inputs, labels and groups.

    Args:
        loader: gives ``(inputs, labels, groups)``, or mappings with ``inputs``, ``labels`` and the
            groups.
        groups: their key in mappings.
        split: whose rows they are, for errors.

    Raises:
        InputError: it gives no batch, or batches of another form.
    """
    found: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for batch in loader:
        if isinstance(batch, Mapping):
            missing = [key for key in ("inputs", "labels", groups) if key not in batch]
            if missing:
                raise InputError(
                    f"a batch of {split} has no {missing[0]!r}; its keys are "
                    f"{', '.join(map(str, batch))}"
                )
            batch = (batch["inputs"], batch["labels"], batch[groups])
        if not isinstance(batch, tuple | list) or len(batch) != 3:
            raise InputError(
                f"a batch of {split} must be (inputs, labels, groups), found {type(batch).__name__}"
            )
        for kept, part in zip(found, batch, strict=True):
            kept.append(part)
    if not found[0]:
        raise InputError(f"{split} gives no batch")
    inputs, labels, given = (_joined(parts) for parts in found)
    return inputs, labels, given


def _joined(parts: list[Any]) -> Any:
    """Batches one after another: numbers as an array, everything else as a list."""
    if all(hasattr(part, "shape") for part in parts):
        arrays: list[Table] = [np.asarray(part) for part in parts]
        return np.concatenate(arrays)
    return [item for part in parts for item in part]
