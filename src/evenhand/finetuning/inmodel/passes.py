"""Passes over the rows of batches: what a head reads of them, and what the cut below it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenhand._base.devices import computing
from evenhand._base.distributed import ALONE, World
from evenhand._base.transfers import Fetch, fetched, pinned, sent
from evenhand.errors import InputError
from evenhand.finetuning.inmodel.batches import Batch, FixedBatches, GivenBatches, group_codes
from evenhand.finetuning.inmodel.frozen import (
    Cut,
    Feed,
    compact,
    find_cut,
    hollow,
    watching,
)
from evenhand.finetuning.inmodel.steps import Step, Streamed, ready
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.models.backbone import Backbone
from evenhand.rows import Rows
from evenhand.tasks.labels import MAX_CLASSES


def copied(backbone: Backbone, head: Head, device: torch.device) -> Backbone:
    """A copy with another head on a device, its every flag as before."""
    model = backbone.with_head(head).to(device)
    return replace(backbone, model=model, pretrained_head=True)


@dataclass(frozen=True, eq=False)
class Passed:
    """What the first pass over the batches found.

    Attributes:
        features: (N, d) the head's inputs, in the order of the batches.
        labels: (N,) of them.
        values: N group labels.
        batches: how many.
        cut: where the model is cut; None where it is not.
        remembered: of each batch its inputs, hollow, what the cut reads, and the batch.
        world: the processes, each of which has its part of every batch.
    """

    features: np.ndarray
    labels: np.ndarray
    values: list[Any]
    batches: int
    cut: Cut | None
    remembered: list[tuple[Any, Tensor, Batch]] | None
    world: World = ALONE

    def rows(self, classes: Sequence[str] | None, known: Sequence[Any] | None = None) -> Rows:
        """The rows as their head reads them; the class names are numbers where none are given.

        ``known``: the group labels of all processes; by default these rows'.

        Raises:
            InputError: labels with gaps.
        """
        names = tuple(classes) if classes else ()
        if not names:
            highest = int(np.concatenate(self.world.gather(self.labels)).max(initial=0))
            if highest >= MAX_CLASSES:
                raise InputError(
                    f"labels reach from 0 to {highest:,}, more than {MAX_CLASSES:,} classes: "
                    "give class numbers without gaps"
                )
            names = tuple(str(k) for k in range(max(2, highest + 1)))
        every = Groups.from_values(self.values if known is None else known)
        codes = group_codes(self.values, every.names).numpy()
        groups = Groups(codes, every.names, every.attribute)
        return Rows(self.features, self.labels, groups, names, self.world)

    def again(
        self, batches: FixedBatches | GivenBatches, names: Sequence[str], device: torch.device
    ) -> list[Step] | Streamed:
        """The batches as training goes through them: remembered ones, or given anew."""
        if self.remembered is None:
            return Streamed(batches, names, self.batches)
        steps = [
            Step(inputs, batch.labels, group_codes(batch.groups, names), read, batch.total)
            for inputs, read, batch in self.remembered
        ]
        return ready(steps, device)


def first_pass(
    own: Backbone,
    batches: FixedBatches | GivenBatches,
    targets: Sequence[str],
    *,
    cache: bool,
) -> Passed:
    """Run the model once over all rows: the head's inputs, and the cut's where it is kept.

    Args:
        own: the model, in eval mode.
        batches: of the rows.
        targets: the modules that will train, below which is cut.
        cache: look for a cut.

    Raises:
        InputError: there are no rows.
    """
    features: list[Fetch] = []
    labels: list[np.ndarray] = []
    values: list[Any] = []
    kept: list[tuple[Any, Tensor, Batch]] = []
    cut: Cut | None = None
    with torch.no_grad(), computing(own.device, "float32"):
        for number, batch in enumerate(batches):
            inputs = own.placed(batch.inputs)
            if cache and number == 0:
                cut = find_cut(own.model, targets, inputs)
            with watching(own.model, cut) as seen:
                features.append(fetched(own.read(inputs).float()))
            labels.append(batch.labels.cpu().numpy().astype(np.int64))
            values += batch.groups
            if cut is not None:
                kept.append((hollow(inputs), compact(seen), replace(batch, inputs=None)))
    if not features:
        raise InputError("the batches hold 0 rows")
    everything = np.concatenate([fetch() for fetch in features]), np.concatenate(labels)
    remembered = kept if cut is not None else None
    shared = getattr(batches, "world", ALONE)
    return Passed(*everything, values, len(features), cut, remembered, shared)


def features_of(
    own: Backbone, source: list[Step] | Streamed, feed: Feed
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The head's inputs, labels and group codes of all rows, as the model now is."""
    features, labels, codes = [], [], []
    device, dtype = own.device, own.dtype
    with torch.no_grad(), computing(device, "float32"):
        for step in source:
            feed.current = step.current(device, dtype)
            inputs = sent(pinned(step.inputs, device), device)
            features.append(fetched(own.read(inputs).float()))
            labels.append(step.labels.cpu().numpy().astype(np.int64))
            codes.append(step.groups.numpy())
    found = np.concatenate([fetch() for fetch in features])
    return found, np.concatenate(labels), np.concatenate(codes)
