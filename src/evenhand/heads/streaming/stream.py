"""One pass over rows that need not fit in memory, for many heads at once.

A pass reads the features once, whatever the number of heads: the product with all their weights,
the slopes of the log-loss, and their products with the same features. What computes it is an
:class:`~evenhand.heads.streaming.engine.Engine`; processes that share the rows each have one for
their own, and add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64, release
from evenhand._base.distributed import ALONE, World
from evenhand.errors import InputError
from evenhand.heads.head_fit import LARGEST
from evenhand.heads.streaming.engine import Engine
from evenhand.heads.streaming.sums import Sums

_DONE, _CHECK, _SUMS, _GRADIENT = range(4)


class Stream:
    """Passes over the rows of all processes that share them.

    Args:
        engine: sums over this process's rows.
        classes: K.
        world: the processes that share the rows; each has a stream of its own.
    """

    def __init__(self, engine: Engine, classes: int, world: World = ALONE) -> None:
        self.engine, self.rows, self.world = engine, engine.rows, world
        self.outputs = 1 if classes == 2 else classes
        self.passes = 0

    @contextmanager
    def driven(self) -> Iterator[bool]:
        """A block in which the first process asks for passes, and the others answer.

        True in the first process; in the others False, once the first has left its block.

        Raises:
            InputError: in every process, what the first raised in its block.
        """
        if self.world.size == 1:
            yield True
        elif self.world.first:
            refused = b""
            try:
                yield True
            except InputError as error:
                refused = str(error).encode()
                raise
            finally:
                self._ask(np.array([_DONE]), np.frombuffer(refused, dtype=np.uint8))
        else:
            refused = self._follow()
            if refused:
                raise InputError(refused.decode())
            yield False

    def _ask(self, *arrays: npt.NDArray[Any]) -> None:
        """Tell the other processes what is to be summed."""
        if self.world.size > 1 and self.world.first:
            for array in arrays:
                self.world.broadcast(array)

    def _follow(self) -> bytes:
        """Sum what the first process asks for, until it is done; its last words."""
        receive = self.world.broadcast
        while True:
            request = int(receive(None)[0])
            if request == _DONE:
                return bytes(receive(None).tobytes())
            if request == _CHECK:
                with suppress(InputError):  # the first process says so
                    self.require_finite()
                continue
            betas = receive(None).tolist()
            if request == _SUMS:
                self.sums(
                    receive(None), receive(None).tolist(), betas, whole=bool(receive(None)[0])
                )
            else:
                self.gradient(receive(None), {beta: receive(None) for beta in betas})

    def require_finite(self) -> None:
        """Read all rows for features that no arithmetic can be done with.

        Raises:
            InputError: NaN, infinity or too large a magnitude; the message counts the rows.
        """
        self._ask(np.array([_CHECK]))
        found, largest = np.zeros(3, dtype=np.int64), LARGEST[self.rows.dtype]
        for span in self.rows.chunks():
            x = self.rows.features[span]
            finite, huge = np.isfinite(x), np.abs(x) > largest
            found += (~finite).any(axis=1).sum(), huge.any(axis=1).sum(), len(x)
            release(x)
        bad, huge_rows, rows = self.world.sum(found).tolist()
        if bad:
            raise InputError(
                f"features hold NaN or infinity in {bad} rows of {rows}; remove or impute them"
            )
        if huge_rows:
            raise InputError(
                f"features reach beyond {largest:g} in {huge_rows} rows of {rows}: "
                "their squares overflow; standardise them"
            )

    def sums(
        self, heads: Float64, folds: Sequence[int], betas: Sequence[float], *, whole: bool
    ) -> Sums:
        """One pass, as :meth:`Engine.sums`, over the rows of all processes."""
        self.passes += 1
        self._ask(np.array([_SUMS]), np.array(betas, dtype=np.float64))
        self._ask(heads, np.array(folds), np.array([whole]))
        total = self.engine.sums(heads, folds, betas, whole=whole)
        if self.world.size > 1:
            for array in total.arrays():
                array[...] = self.world.sum(array)
        return total

    def gradient(self, share: Float64, slopes: dict[float, Float64]) -> Float64:
        """A second pass, as :meth:`Engine.gradient`, over the rows of all processes."""
        self.passes += 1
        self._ask(np.array([_GRADIENT]), np.array(list(slopes)), share, *slopes.values())
        return self.world.sum(self.engine.gradient(share, slopes))
