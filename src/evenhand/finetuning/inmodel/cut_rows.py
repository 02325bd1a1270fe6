"""What a cut reads of each row, caught while something else runs the model over all of them.

Features are extracted in one pass over the inputs; what lies below the layers that train is run in
the same pass, so that training has no pass of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from evenhand._base.arrays import IntArray
from evenhand.finetuning.inmodel.frozen import Cut, find_cut, hollow, watching
from evenhand.head import Head
from evenhand.models.backbone import Backbone
from evenhand.models.features.runner import Runner
from evenhand.models.features.store import ROWS_PER_SHARD
from evenhand.tasks.inputs import Joined, View, parent_and_rows

MOST_BYTES = 4 << 30
"""More than this of what the cut reads is not kept."""


class CutRows:
    """The cut's input for each row, and the rest of what the model is given.

    Args:
        own: the model that is run, alone or inside another.
        targets: the modules that will train, below which is cut.
        most: bytes to keep at most.

    Attributes:
        cut: where the model is cut; None before the first batch.
        refused: it cannot be cut, or the rows take too much.
    """

    def __init__(self, own: Backbone, targets: Sequence[str], most: int = MOST_BYTES) -> None:
        self.own, self.targets, self.most = own, list(targets), most
        self.cut: Cut | None = None
        self.clear()

    def clear(self) -> None:
        """Keep nothing of any row."""
        self._batches: list[tuple[Any, Tensor]] = []
        self._places: dict[tuple[int, int], tuple[int, int]] = {}
        self._bytes = 0
        self.refused = False

    @contextmanager
    def watch(self, parent: Any, rows: IntArray, batch: Any) -> Iterator[None]:
        """Inside the block the model is run once, on a prepared batch of rows of ``parent``."""
        if self.cut is None and not self.refused:
            self.cut = find_cut(self._telling, self.targets, self.own.placed(batch))
            self.refused = self.cut is None
        if self.refused:
            yield
            return
        with watching(self.own.model, self.cut) as seen:
            yield
        if len(seen) != 1:
            self._refuse()
            return
        kept = seen[0].float().cpu()
        self._bytes += kept.nbytes
        if self._bytes > self.most:
            self._refuse()
            return
        number = len(self._batches)
        self._batches.append((hollow(batch), kept))
        places = ((id(parent), int(row)) for row in rows)
        self._places.update((place, (number, at)) for at, place in enumerate(places))

    @property
    def _telling(self) -> nn.Module:
        """A copy whose head is not zero, as a new one is: its logits tell one cut from another."""
        own = self.own
        draw = np.random.default_rng(0)
        shape = own.in_features, own.number_of_classes
        return own.with_head(Head(draw.normal(size=shape), np.zeros(shape[1]))).eval()

    def _refuse(self) -> None:
        self.clear()
        self.refused, self.cut = True, None

    def holds(self, inputs: Any) -> bool:
        """Whether all rows of ``inputs``, a parent or a view of one, were caught."""
        return all(place in self._places for place in _places(inputs))

    def batch(self, inputs: Any) -> tuple[Any, Tensor]:
        """Rows as one batch: what the model is given, hollow, and what the cut reads.

        Rows of texts come from batches of other lengths: what the model's mask leaves out at their
        ends is left out, and they are filled up with zeros, which it leaves out too.
        """
        parts, read = [], []
        for place in _places(inputs):
            number, at = self._places[place]
            given, kept = self._batches[number]
            span = _span(given, at)
            parts.append((given, at, span))
            read.append(_part(kept, at, span))
        return _rows_of(parts), _together(read)


def caught_anew(
    backbone: Backbone,
    targets: Sequence[str],
    inputs: Sequence[View],
    *,
    batch_size: int | None,
    device: torch.device,
) -> CutRows:
    """What the cut reads of the rows of ``inputs``, by a pass over them.

    The rows go through the model in the batches of an extraction of all of their parent's, so that
    each has the very numbers that it has when its features are extracted in the same pass.
    """
    caught = CutRows(backbone, targets)
    wanted: dict[int, tuple[Any, set[int]]] = {}
    for parent, row in (place for one in inputs for place in _located(one)):
        wanted.setdefault(id(parent), (parent, set()))[1].add(row)
    for parent, some in wanted.values():
        runner = Runner(backbone, parent, batch_size, "float32", device, 1.0, caught.watch)
        rows = np.array(sorted(some), dtype=np.int64)
        ends = np.flatnonzero(np.diff(rows // ROWS_PER_SHARD)) + 1
        with runner.running():
            for part in np.split(rows, ends):
                if not caught.refused:
                    runner.run(part, lambda _: None, len(rows))
    return caught


def _located(inputs: Any) -> Iterator[tuple[Any, int]]:
    """Each row's parent, and its place there."""
    parent, rows = parent_and_rows(inputs)
    if not isinstance(parent, Joined):
        yield from ((parent, row) for row in rows.tolist())
        return
    for row in rows.tolist():
        part, place = parent.place(row)
        yield (part.parent, int(part.rows[place])) if isinstance(part, View) else (part, place)


def _places(inputs: Any) -> list[tuple[int, int]]:
    return [(id(parent), row) for parent, row in _located(inputs)]


Span = tuple[int, int] | None
"""How long a batch's texts are, padding included, and a row's own; None of other inputs."""


def _span(batch: Any, at: int) -> Span:
    mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    if mask is None:
        return None
    used = torch.nonzero(mask[at])
    return mask.shape[1], int(used.max()) + 1 if len(used) else mask.shape[1]


def _part(values: Tensor, at: int, span: Span) -> Tensor:
    """A row of a batch, without the padding at its end."""
    row = values[at]
    return row[: span[1]] if span and row.ndim and len(row) == span[0] else row


def _rows_of(parts: Sequence[tuple[Any, int, Span]]) -> Any:
    """Rows, each a place in a batch of what a model takes, as one such batch."""
    first = parts[0][0]
    if isinstance(first, Mapping):
        return {key: _rows_of([(one[key], at, span) for one, at, span in parts]) for key in first}
    if isinstance(first, tuple):
        numbers = range(len(first))
        return tuple(_rows_of([(one[n], at, span) for one, at, span in parts]) for n in numbers)
    if not isinstance(first, Tensor):
        return first
    if first.is_floating_point():  # hollow
        return hollow(first.new_zeros(()).expand(len(parts), *first.shape[1:]))
    return _together([_part(*one) for one in parts])


def _together(rows: Sequence[Tensor]) -> Tensor:
    """(B, …) rows of one shape, or of several lengths, filled up with zeros."""
    shapes = {row.shape for row in rows}
    if len(shapes) == 1:
        return torch.stack(list(rows))
    longest = max(shape[0] for shape in shapes)
    filled = rows[0].new_zeros((len(rows), longest, *rows[0].shape[1:]))
    for place, row in zip(filled, rows, strict=True):
        place[: len(row)] = row
    return filled
