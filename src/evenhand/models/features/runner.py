"""The backbone run batch by batch, unreadable rows left out by name."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evenhand._base.arrays import FloatArray, IntArray
from evenhand._base.devices import Precision
from evenhand._base.torch_calls import placed
from evenhand.errors import InputError, ModelError
from evenhand.models.backbone import Backbone

BATCH, LARGEST_BATCH = 64, 4096
"""Inputs of a forward pass, at first and at most, where nobody says how many."""


MOST_READERS = 8
"""Threads that read inputs at most: each may hold a whole photo."""


UNREADABLE = (InputError, OSError, ValueError, SyntaxError)
"""What an input that cannot be read may raise (PIL raises SyntaxError for a broken PNG)."""


Watch = Callable[[Any, IntArray, Any], AbstractContextManager[Any]]


@dataclass
class Runner:
    """The backbone over rows of the inputs, a batch at a time, the next ones read meanwhile.

    Inputs are read and cut to size on every core: decoders of images let go of Python's lock. A
    batch that the device's memory does not hold is halved, and so are those that follow.

    Attributes:
        backbone: the model.
        inputs: of which rows are read.
        batch_size: inputs of a forward pass; None: 64, and on a GPU twice as many after each batch
            until its memory is full.
        precision: other than float32 is automatic mixed precision.
        device: None: where the model is.
        max_unreadable: the share of inputs that may be unreadable.
        watch: entered around each forward pass, with the inputs, the rows and the prepared batch.
    """

    backbone: Backbone
    inputs: Sequence[Any]
    batch_size: int | None
    precision: Precision
    device: torch.device | None
    max_unreadable: float
    watch: Watch | None = None

    def __post_init__(self) -> None:
        device = self.device or self.backbone.device
        self._growing = self.batch_size is None and device.type == "cuda"
        self._size = BATCH if self.batch_size is None else self.batch_size

    def running(self) -> AbstractContextManager[Any]:
        """Eval mode on the device; both are restored afterwards."""
        return placed(self.backbone.model, self.device)

    def run(
        self, rows: IntArray, advance: Callable[[int], object], total: int, before: int = 0
    ) -> tuple[FloatArray, dict[int, str]]:
        """(len(rows), d) features, zeros where unreadable, and the unreadable rows."""
        features = np.zeros((len(rows), self.backbone.in_features), dtype=np.float32)
        unreadable: dict[int, str] = {}
        order = self._order(rows)
        done = begun = 0
        coming: deque[tuple[IntArray, Future[Any]]] = deque()
        with ThreadPoolExecutor(_readers()) as readers, ThreadPoolExecutor(1) as collator:
            while done < len(order):
                while len(coming) < 2 and begun < len(order):
                    batch = order[begun : begun + self._size]
                    items = [readers.submit(self._read, int(row)) for row in rows[batch]]
                    coming.append((batch, collator.submit(self._together, rows[batch], items)))
                    begun += len(batch)
                batch, reading = coming.popleft()
                prepared, readable, bad = reading.result()
                unreadable |= bad
                self.check_share(before + len(unreadable), total, unreadable)
                if readable.any():
                    try:
                        features[batch[readable]] = self._forward(prepared, rows[batch[readable]])
                    except torch.OutOfMemoryError as error:
                        self._shrink(len(batch), error)
                        coming.clear()
                        begun = done
                        continue
                done += len(batch)
                advance(len(batch))
                if self._growing:
                    self._size = min(2 * self._size, LARGEST_BATCH)
        return features, unreadable

    def _shrink(self, tried: int, error: torch.OutOfMemoryError) -> None:
        """Half as many inputs a batch, from now on.

        Raises:
            ModelError: one was too many.
        """
        if tried == 1:
            raise ModelError(
                f"{self.backbone.name} does not fit on {self.backbone.device} with a single input: "
                f"{str(error).splitlines()[0]}; give --device cpu, or smaller inputs"
            ) from error
        self._size, self._growing = max(1, tried // 2), False
        if self.backbone.device.type == "cuda":
            torch.cuda.empty_cache()

    def _order(self, rows: IntArray) -> IntArray:
        """Positions in the order of processing: texts by length, which saves padding."""
        if self._are_texts(rows):
            texts = [self.inputs[int(row)] for row in rows]
            measure = getattr(self.backbone.prepare, "lengths", lambda them: list(map(len, them)))
            lengths = np.array(measure(texts))
            return np.argsort(lengths, kind="stable").astype(np.int64)
        return np.arange(len(rows), dtype=np.int64)

    def _are_texts(self, rows: IntArray) -> bool:
        for row in rows:
            try:
                return isinstance(self.inputs[int(row)], str)
            except UNREADABLE:  # reported when it is read
                continue
        return False

    def _read(self, row: int) -> Any:
        each = getattr(self.backbone.prepare, "each", _as_it_is)
        return each(self.inputs[row])

    def _together(
        self, rows: IntArray, reading: Sequence[Future[Any]]
    ) -> tuple[Any, Any, dict[int, str]]:
        prepare = self.backbone.prepare
        together = getattr(prepare, "together", prepare)
        items, bad = [], {}
        readable = np.ones(len(rows), dtype=bool)
        for index, (row, item) in enumerate(zip(rows, reading, strict=True)):
            try:
                items.append(item.result())
            except UNREADABLE as error:
                readable[index] = False
                bad[int(row)] = str(error).splitlines()[0] if str(error) else type(error).__name__
        return (together(items) if items else None), readable, bad

    def check_share(self, found: int, total: int, unreadable: dict[int, str]) -> None:
        """Refuse more inputs that could not be read than are allowed.

        Raises:
            InputError: there are more, told with the first three reasons.
        """
        if found > self.max_unreadable * total:
            shown = "; ".join(f"row {row}: {why}" for row, why in list(unreadable.items())[:3])
            raise InputError(
                f"{found} inputs of {total} could not be read, more than the "
                f"{self.max_unreadable:.0%} allowed: {shown}"
            )

    def _forward(self, prepared: Any, rows: IntArray) -> FloatArray:
        device = self.backbone.device.type
        mixed: AbstractContextManager[Any] = nullcontext()
        if self.precision != "float32":
            mixed = torch.autocast(device, dtype=getattr(torch, self.precision))
        watched: AbstractContextManager[Any] = nullcontext()
        if self.watch is not None:
            watched = self.watch(self.inputs, rows, prepared)
        with torch.inference_mode(), mixed, watched:
            features: FloatArray = self.backbone.read(prepared).float().cpu().numpy()
        finite = np.isfinite(features).all(axis=1)
        if not finite.all():
            raise ModelError(
                f"{self.backbone.name} gives features that are not finite for "
                f"{int((~finite).sum())} inputs, such as row {int(rows[~finite][0])}"
                + ("" if self.precision == "float32" else f" in {self.precision}: try float32")
            )
        return features


def _as_it_is(item: Any) -> Any:
    return item


def _readers() -> int:
    """One thread a core that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return min(len(allowed(0)) if allowed else os.cpu_count() or 1, MOST_READERS)
