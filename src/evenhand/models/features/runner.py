"""The backbone run batch by batch, unreadable rows left out by name."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from evenhand._base.arrays import FloatArray, IntArray
from evenhand._base.devices import Precision, computing
from evenhand._base.torch_calls import placed
from evenhand._base.transfers import Fetch, fetched, pinned, sent
from evenhand.errors import InputError, ModelError
from evenhand.models.backbone import Backbone
from evenhand.models.features.reading import UNREADABLE, Batch, Part, Readers, Ready

BATCH, LARGEST_BATCH = 64, 1024
"""Inputs of a forward pass, at first and at most, where nobody says how many."""


AHEAD = 2
"""Batches that are read while one is computed."""


Watch = Callable[[Any, IntArray, Any], AbstractContextManager[Any]]

Found = tuple[FloatArray, dict[int, str]]
"""Features (n, d), and the rows that could not be read."""


@dataclass
class Runner:
    """The backbone over rows of the inputs, a batch at a time, the next ones read meanwhile.

    Inputs are read and cut to size on every core: decoders of images let go of Python's lock. A
    GPU is sent the next batch before the last one's features are fetched, so that it never waits
    for that. A batch that the device's memory does not hold is halved, and so are those that
    follow.

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
        gpu = device.type == "cuda"
        self._growing = self.batch_size is None and gpu
        self._size = BATCH if self.batch_size is None else self.batch_size
        self._overlap = 1 if gpu and self.watch is None else 0
        prepare: Any = self.backbone.prepare
        self._reads = self.backbone
        self._each = getattr(prepare, "each", _as_it_is)
        self._together: Callable[[list[Any]], Any] = getattr(prepare, "together", prepare)
        self._finish: Callable[[Any], Any] = _as_it_is
        if self._overlap and hasattr(prepare, "finish"):  # few bytes are sent, and made more there
            self._together, self._finish = prepare.stack, prepare.finish

    def running(self) -> AbstractContextManager[Any]:
        """Eval mode on the device; both are restored afterwards."""
        return placed(self.backbone.model, self.device)

    def run(
        self, rows: IntArray, advance: Callable[[int], object], total: int, before: int = 0
    ) -> Found:
        """(len(rows), d) features, zeros where unreadable, and the unreadable rows."""
        (found,) = self.parts([rows], advance, total, before)
        return found

    def parts(
        self,
        parts: Iterable[IntArray],
        advance: Callable[[int], object],
        total: int,
        before: int = 0,
    ) -> Iterator[Found]:
        """The same for several parts in turn, the next one's inputs read meanwhile.

        Args:
            parts: the rows of each.
            advance: called with how many rows were just computed.
            total: how many inputs there are, and
            before: how many of them were found unreadable, to refuse too many.
        """
        device = self.backbone.device
        given, begun = iter(parts), deque[Part]()
        coming, running = deque[Batch](), deque[tuple[Batch, Ready, Fetch | None]]()

        def together(items: list[Any]) -> Any:
            return pinned(self._together(items), device)

        with Readers(self.inputs, self._each, together) as readers:
            while self._read_ahead(readers, given, begun, coming) or running:
                if coming:
                    batch = coming.popleft()
                    ready = batch.reading.result()
                    batch.part.unreadable |= ready.bad
                    found = before + sum(len(part.unreadable) for part in begun)
                    self.check_share(found, total, batch.part.unreadable)
                    try:
                        fetch = self._begin(ready, batch.rows) if ready.readable.any() else None
                        fits = True
                    except torch.OutOfMemoryError as error:
                        self._require_more_than_one(len(batch.places), error)
                        fits = False
                    if not fits:  # outside, where the error no longer holds what was computed
                        self._shrink(len(batch.places))
                        for one in (*reversed(coming), batch):
                            one.part.begun = one.start
                        coming.clear()
                        continue
                    running.append((batch, ready, fetch))
                    if self._growing:
                        self._size = min(2 * self._size, LARGEST_BATCH)
                while len(running) > (self._overlap if coming else 0):
                    ended = running.popleft()
                    self._end(*ended)
                    advance(len(ended[0].places))
                while begun and begun[0].whole:
                    part = begun.popleft()
                    before += len(part.unreadable)
                    yield part.features, part.unreadable

    def _read_ahead(
        self, readers: Readers, given: Iterator[IntArray], begun: deque[Part], coming: deque[Batch]
    ) -> bool:
        """Have the next batches read, of the parts begun and then of new ones; False: all are."""
        while len(coming) < AHEAD:
            part = next((one for one in begun if one.begun < len(one.order)), None)
            if part is not None:
                coming.append(readers.begin(part, self._size))
                continue
            rows = next(given, None)
            if rows is None:
                break
            features = np.zeros((len(rows), self.backbone.in_features), dtype=np.float32)
            begun.append(Part(rows, self._order(rows), features, {}))
        return bool(coming) or bool(begun)

    def _shrink(self, tried: int) -> None:
        """Half as many inputs a batch, from now on."""
        self._size, self._growing = max(1, tried // 2), False
        if self.backbone.device.type == "cuda":
            torch.cuda.empty_cache()

    def _require_more_than_one(self, tried: int, error: torch.OutOfMemoryError) -> None:
        """Refuse to go on where a single input does not fit.

        Raises:
            ModelError: one was too many.
        """
        if tried == 1:
            raise ModelError(
                f"{self.backbone.name} does not fit on {self.backbone.device} with a single input: "
                f"{str(error).splitlines()[0]}; give --device cpu, or smaller inputs"
            ) from error

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

    def _begin(self, ready: Ready, rows: IntArray) -> Fetch:
        """Have the features of a batch computed; they are there when they are fetched."""
        device = self.backbone.device
        watched: AbstractContextManager[Any] = nullcontext()
        if self.watch is not None:
            watched = self.watch(self.inputs, rows[ready.readable], ready.prepared)
        with torch.inference_mode():
            batch = self._finish(sent(ready.prepared, device))
            with computing(device, self.precision), watched:
                features = self._reads.read(batch)
        if self._overlap:  # whether the head was guessed right is asked once: a GPU would wait
            self._reads = replace(self.backbone, guessed=False)
        return fetched(features.float())

    def _end(self, batch: Batch, ready: Ready, fetch: Fetch | None) -> None:
        """Put the features of a batch where they belong."""
        batch.part.done += len(batch.places)
        if fetch is None:
            return
        features = fetch()
        finite = np.isfinite(features).all(axis=1)
        if not finite.all():
            rows = batch.rows[ready.readable]
            raise ModelError(
                f"{self.backbone.name} gives features that are not finite for "
                f"{int((~finite).sum())} inputs, such as row {int(rows[~finite][0])}"
                + ("" if self.precision == "float32" else f" in {self.precision}: try float32")
            )
        batch.part.features[batch.places[ready.readable]] = features


def _as_it_is(item: Any) -> Any:
    return item
