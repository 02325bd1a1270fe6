"""The features of every split of a task, and the head the model came with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from evenhand._base.arrays import IntArray
from evenhand._base.cache_folder import cache_root, unwritable
from evenhand._base.devices import device_of, precision_of
from evenhand._base.options import with_defaults
from evenhand.head import Head
from evenhand.models.backbone import Backbone
from evenhand.models.features.cache import changed_since
from evenhand.models.features.extract import (
    RUNNING,
    Running,
    extract,
    origin_of,
)
from evenhand.models.features.store import Store, is_whole
from evenhand.rows import Rows
from evenhand.tasks.inputs import parent_and_rows
from evenhand.tasks.task import Task


@dataclass(frozen=True, eq=False)
class TaskFeatures:
    """A task seen through a backbone.

    Attributes:
        splits: ``train``, ``valid``, ``test`` (and ``pretrain``) as rows of features.
        kept: split to the (n,) positions in its examples that could be read.
        head: the pre-trained head in the order of the task's classes; None for a new label space,
            where a head is to be fitted on ``splits["train"]`` first.
        notes: rows dropped, caches not used, a sentence each.
        seconds: the time it took.
        computed: how many inputs went through the backbone; 0 where all came from the cache.
        entry: the cache's folder, None where the task's inputs are not cached.
    """

    splits: dict[str, Rows]
    kept: dict[str, IntArray]
    head: Head | None
    notes: tuple[str, ...]
    seconds: float
    computed: int
    entry: Path | None

    @property
    def train(self) -> Rows:
        """The rows to fit on."""
        return self.splits["train"]

    @property
    def valid(self) -> Rows:
        """The rows to choose on."""
        return self.splits["valid"]

    @property
    def test(self) -> Rows:
        """The rows to report on."""
        return self.splits["test"]


def extract_task(
    backbone: Backbone,
    task: Task,
    *,
    root: Path | None = None,
    use_cache: bool = True,
    **options: Unpack[Running],
) -> TaskFeatures:
    """The features of every split, extracted once and cached under ``root``.

    All splits that are views of one sequence share one cache entry, and so do all seeds: a second
    call, with another split or another label, computes nothing. Where the cache cannot be written,
    only the rows needed are computed, nothing is kept, and a note says why.

    Args:
        backbone: the frozen model.
        task: its splits' inputs are what the backbone's ``prepare`` takes.
        root: of the cache; None: ``$EVENHAND_CACHE`` or the platform's cache folder.
        use_cache: False writes and reads nothing.
        options: as for ``extract``.

    Raises:
        InputError, ModelError, ArtefactError: as for ``extract``.
    """  # noqa: DOC502
    began = time.perf_counter()
    root = cache_root() if root is None else root
    described = {
        "name": task.name,
        "fingerprint": task.fingerprint,
        "label": task.label,
        "classes": list(task.classes),
        "groups": list(task.train.groups.names),
    }
    how = with_defaults(RUNNING, options, "extract_task")
    how["device"] = device_of(how["device"])
    how["precision"] = precision_of(how["precision"], how["device"] or backbone.device)
    world = how["world"]
    splits, kept, notes = {}, {}, []
    stores: dict[int, Store] = {}
    entry, computed = None, 0
    for name, part in task.splits.items():
        where: dict[str, Any] = {}
        parent, _ = parent_and_rows(part.inputs)
        if id(parent) in stores:
            where = {"cache": stores[id(parent)]}
        elif use_cache and not _is_table(parent):
            origin = origin_of(backbone, parent, dtype=how["dtype"], precision=how["precision"])
            entry = root / origin.name
            barred = unwritable(entry)
            if world.any(bool(barred and not is_whole(entry))):
                entry = None
                note = f"features were computed and not kept: {barred or 'another process cannot'}"
                notes += [] if note in notes else [note]
            else:
                where = {"cache": entry, "origin": origin, "task": described}
                notes += changed_since(root, origin)
        extraction = extract(backbone, part, task.classes, **where, **how)
        if extraction.store is not None:
            stores[id(parent)] = extraction.store
        splits[name], kept[name] = extraction.rows, extraction.kept
        computed += extraction.computed
        notes += [f"{name}: {note}" for note in extraction.notes]
    head = pretrained_head(backbone, task.classes)
    seconds = time.perf_counter() - began
    return TaskFeatures(splits, kept, head, tuple(notes), seconds, computed, entry)


def _is_table(inputs: Any) -> bool:
    """Whether inputs are rows of numbers, quicker to compute features of than to store them."""
    return isinstance(inputs, np.ndarray) and inputs.ndim == 2


def pretrained_head(backbone: Backbone, classes: tuple[str, ...]) -> Head | None:
    """The backbone's own head, where its classes are the task's (in the task's order).

    A head whose class names are not known, or only ``LABEL_0``, …, counts as the task's where it
    has as many classes; any other label space gives None.
    """
    if not backbone.pretrained_head or backbone.number_of_classes != len(classes):
        return None
    head, known = backbone.linear_head(), backbone.classes
    if known is None or all(name == f"LABEL_{index}" for index, name in enumerate(known)):
        return head
    if set(known) != set(classes):
        return None
    order = [known.index(name) for name in classes]
    return Head(head.weight[:, order], head.bias[order])
