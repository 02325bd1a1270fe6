"""Training rows as batches of what a model reads, given in any of the usual forms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenhand._base.arrays import IntArray
from evenhand._base.columns import column
from evenhand._base.distributed import ALONE, World
from evenhand._base.text import listed
from evenhand._base.torch_calls import label_tensor
from evenhand.errors import InputError
from evenhand.groups import UNKNOWN, Groups, as_groups
from evenhand.models.backbone import Prepare
from evenhand.models.features.reading import read_ahead
from evenhand.tasks.from_arrays import three_parts
from evenhand.tasks.given_labels import code_splits
from evenhand.tasks.inputs import View
from evenhand.tasks.task import Examples

ALIKE = 64
"""Batches that are sorted by length together: the longest texts of all are in one of them."""


@dataclass(frozen=True, eq=False)
class Batch:
    """A few rows.

    Attributes:
        inputs: what the model takes: a tensor, a tuple or a mapping.
        labels: (B,) integers.
        groups: B group labels; None where unknown.
        total: rows of the batch in all processes; B by default.
    """

    inputs: Any
    labels: Tensor
    groups: tuple[Any, ...]
    total: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", self.total or len(self.labels))
        if len(self.labels) != len(self.groups):
            raise InputError(f"a batch has {len(self.labels)} labels and {len(self.groups)} groups")


class FixedBatches:
    """Rows at hand, shuffled once and cut into batches: every pass sees the same ones.

    Texts of like length share a batch, so that little of it is padding. Of several processes each
    has its part of every batch.
    """

    def __init__(
        self,
        examples: Examples,
        prepare: Prepare,
        size: int,
        seed: int,
        world: World = ALONE,
    ) -> None:
        self.examples, self.prepare, self.world = examples, prepare, world
        order = np.random.default_rng(seed).permutation(len(examples))
        if isinstance(examples.inputs[0], str):
            measure = getattr(prepare, "lengths", lambda texts: list(map(len, texts)))
            lengths = np.asarray(measure(list(examples.inputs)))
            order = alike(order, lengths, ALIKE * size)
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        if len(parts) > 1 and len(parts[-1]) < world.size:
            parts[-2:] = [np.concatenate(parts[-2:])]
        if len(parts[-1]) < world.size:
            raise InputError(f"{world.size} processes cannot share {len(order)} rows")
        self.totals = [len(part) for part in parts]
        # of the whole order every size-th, so that folds are those of one process
        starts = np.cumsum([0, *self.totals[:-1]])
        self.parts = [
            part[(world.rank - start) % world.size :: world.size]
            for part, start in zip(parts, starts.tolist(), strict=True)
        ]

    @property
    def values(self) -> tuple[Any, ...]:
        """The group labels of all rows, of every process; None where unknown."""
        names = (*self.examples.groups.names, None)
        return tuple(names[code] for code in self.examples.groups.codes)

    def __iter__(self) -> Iterator[Batch]:
        names = (*self.examples.groups.names, None)
        codes = self.examples.groups.codes
        for rows, total, inputs in zip(self.parts, self.totals, self._inputs(), strict=True):
            yield Batch(
                inputs,
                torch.as_tensor(self.examples.labels[rows]),
                tuple(names[codes[row]] for row in rows),
                total,
            )

    def _inputs(self) -> Iterator[Any]:
        """What the model takes of each batch; images are read on every core, a batch ahead."""
        prepare: Any = self.prepare
        if hasattr(prepare, "each"):
            given = self.examples.inputs
            yield from read_ahead(given, self.parts, prepare.each, prepare.together)
            return
        for rows in self.parts:
            yield prepare(_take(self.examples.inputs, rows))


def alike(order: IntArray, lengths: IntArray, window: int) -> IntArray:
    """The same order, each ``window`` of it sorted by length."""
    parts = [order[start : start + window] for start in range(0, len(order), window)]
    return np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])


class GivenBatches:
    """Batches that something else gives, perhaps other ones in every pass."""

    def __init__(self, source: Iterable[Any], key: str) -> None:
        self.source, self.key = source, key

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.source:
            yield _unpack(batch, self.key)


def as_batches(
    train: Any,
    prepare: Prepare,
    *,
    groups: str,
    size: int,
    seed: int,
    classes: Sequence[str] | None = None,
    world: World = ALONE,
) -> FixedBatches | GivenBatches:
    """Any way of giving training rows, as something that can be gone through many times.

    Args:
        train: ``(inputs, labels, groups)``, ``Examples``, a mapping with ``inputs``, ``labels``
            and the groups under ``groups``; or an iterable of batches.
        prepare: collates a list of raw inputs, where they are rows and no batches.
        groups: the groups' key in mappings.
        size: rows a batch.
        seed: of the order of rows.
        classes: the class names, where labels are given by name.
        world: the processes that train together, each of which is given all rows.

    Raises:
        InputError: another form, no rows, weights of rows, an iterator that can be gone
            through once only, or batches that several processes would have to share.
    """
    if isinstance(train, Mapping) or (isinstance(train, tuple) and len(train) == 3):
        inputs, labels, values = three_parts(train, groups, "train")
        codes, _, _ = code_splits({"train": labels}, classes)
        train = Examples(inputs, codes["train"], as_groups(values, groups))
    if isinstance(train, Examples):
        if not len(train):
            raise InputError("train has 0 rows")
        if train.weights is not None:
            raise InputError(
                "rows that have weights are not trained below the head: leave the weights out "
                "(dataclasses.replace(examples, weights=None)), give batches drawn by them, or "
                "fit the head alone with evenhand.finetune, which knows them"
            )
        return FixedBatches(train, prepare, size, seed, world)
    if isinstance(train, Iterator) or not isinstance(train, Iterable):
        raise InputError(
            f"train is a {type(train).__name__}: give (inputs, labels, groups), or batches that "
            "can be gone through many times, such as a DataLoader"
        )
    if world.size > 1:
        raise InputError(
            f"{world.size} processes share rows at hand: give (inputs, labels, groups) in each, "
            f"not a {type(train).__name__}"
        )
    return GivenBatches(train, groups)


def group_codes(values: Sequence[Any], names: Sequence[str]) -> Tensor:
    """(B,) the groups' codes in the order of ``names``; -1 where unknown.

    Raises:
        InputError: a group that is not among the names.
    """
    number = {name: code for code, name in enumerate(names)}
    coded = Groups.from_values(values)
    strangers = set(coded.names) - set(number)
    if strangers:
        raise InputError(
            f"group {min(strangers)!r} was not in the first pass; the groups are {listed(names)}"
        )
    code = torch.tensor([*(number[name] for name in coded.names), UNKNOWN])
    return code[torch.as_tensor(coded.codes)]


def _unpack(batch: Any, key: str) -> Batch:
    if isinstance(batch, Mapping):
        missing = [name for name in ("labels", key) if name not in batch]
        if missing:
            raise InputError(
                f"a batch has no {missing[0]!r}; its keys are {', '.join(map(str, batch))}"
            )
        inputs: Any = {n: v for n, v in batch.items() if n not in ("labels", key)}
        labels, values = batch["labels"], batch[key]
    elif isinstance(batch, Sequence) and len(batch) == 3:
        inputs, labels, values = batch
    else:
        raise InputError("a batch is (inputs, labels, groups) or a mapping with these")
    listed = column(values, "the groups of a batch").tolist()
    known = (None if v is None or v == UNKNOWN or v != v else v for v in listed)
    return Batch(inputs, label_tensor(labels), tuple(known))


def _take(inputs: Any, rows: Any) -> Any:
    if hasattr(inputs, "shape") or isinstance(inputs, View):  # a view reads one when it is used
        return inputs[rows]
    try:
        return [inputs[int(row)] for row in rows]
    except TypeError:
        return inputs[rows]
