"""Inputs read ahead of the model that needs them, on every core."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import FloatArray, IntArray
from evenhand.errors import InputError

MOST_READERS = 16
"""Threads that read inputs at most: each may hold a whole photo."""


TASKS, MOST_TOGETHER = 4, 16
"""Inputs that one task of a thread reads: of a batch as many as give each thread several tasks."""


UNREADABLE = (InputError, OSError, ValueError, SyntaxError)
"""What an input that cannot be read may raise (PIL raises SyntaxError for a broken PNG)."""


class Ready(NamedTuple):
    """A batch that was read.

    ``prepared``: what the model takes, None where no input could be read. ``readable``: of its
    rows. ``bad``: row to why it could not be read.
    """

    prepared: Any
    readable: npt.NDArray[np.bool_]
    bad: dict[int, str]


@dataclass(eq=False)
class Part:
    """Rows whose features are wanted together.

    Attributes:
        rows: (n,) of the inputs.
        order: (n,) positions in ``rows``, as they are processed.
        features: (n, d) as far as they are computed.
        unreadable: row to reason.
        begun, done: how many are at least being read, and how many are computed.
    """

    rows: IntArray
    order: IntArray
    features: FloatArray
    unreadable: dict[int, str]
    begun: int = 0
    done: int = 0

    @property
    def whole(self) -> bool:
        """Whether all is computed."""
        return self.done == len(self.order)


@dataclass(eq=False)
class Batch:
    """A few rows of a part, read or being read; it begins at ``start`` of the part's order."""

    part: Part
    start: int
    places: IntArray
    reading: Future[Ready]

    @property
    def rows(self) -> IntArray:
        """Of the inputs."""
        return self.part.rows[self.places]


class Readers:
    """Threads that read inputs, and one that puts them together.

    Args:
        inputs: of which rows are read.
        each: an input to what is needed of it.
        together: of those, what the model takes.
    """

    def __init__(
        self,
        inputs: Sequence[Any],
        each: Callable[[Any], Any],
        together: Callable[[list[Any]], Any],
    ) -> None:
        self._inputs, self._each, self._together = inputs, each, together
        self._number = _threads()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._readers = stack.enter_context(ThreadPoolExecutor(self._number))
            self._collator = stack.enter_context(ThreadPoolExecutor(1))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def begin(self, part: Part, size: int) -> Batch:
        """The next ``size`` rows of a part, being read from now on."""
        start = part.begun
        places = part.order[start : start + size]
        part.begun += len(places)
        rows = part.rows[places]
        each = max(1, min(len(rows) // (TASKS * self._number), MOST_TOGETHER))
        tasks = [
            self._readers.submit(self._read, rows[first : first + each])
            for first in range(0, len(rows), each)
        ]
        return Batch(part, start, places, self._collator.submit(self._ready, rows, tasks))

    def _read(self, rows: IntArray) -> list[tuple[Any, str | None]]:
        """Each row as it is needed, or why it cannot be read."""
        found: list[tuple[Any, str | None]] = []
        for row in rows.tolist():
            try:
                found.append((self._each(self._inputs[row]), None))
            except UNREADABLE as error:
                found.append((None, str(error).splitlines()[0] if str(error) else _name(error)))
        return found

    def _ready(
        self, rows: IntArray, tasks: Sequence[Future[list[tuple[Any, str | None]]]]
    ) -> Ready:
        found = [one for task in tasks for one in task.result()]
        readable = np.array([why is None for _, why in found], dtype=bool)
        bad = {row: why for row, (_, why) in zip(rows.tolist(), found, strict=True) if why}
        items = [item for item, why in found if why is None]
        return Ready(self._together(items) if items else None, readable, bad)


def read_ahead(
    inputs: Sequence[Any],
    batches: Iterable[IntArray],
    each: Callable[[Any], Any],
    together: Callable[[list[Any]], Any],
) -> Iterator[Any]:
    """Batches of rows in turn, the next one read meanwhile; what cannot be read is raised.

    Args:
        inputs: of which rows are read.
        batches: the rows of each.
        each: an input to what is needed of it.
        together: of those, what the model takes.
    """
    with ThreadPoolExecutor(_threads()) as readers, ThreadPoolExecutor(1) as collator:

        def read(row: int) -> Any:
            return each(inputs[row])

        def collated(items: list[Future[Any]]) -> Any:
            return together([item.result() for item in items])

        coming: deque[Future[Any]] = deque()
        for rows in batches:
            items = [readers.submit(read, row) for row in rows.tolist()]
            coming.append(collator.submit(collated, items))
            if len(coming) > 1:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _name(error: BaseException) -> str:
    return type(error).__name__


def _threads() -> int:
    """One thread a core that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return min(len(allowed(0)) if allowed else os.cpu_count() or 1, MOST_READERS)
