"""The rows that one process passes over, as arrays, and how they are cut into chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import IntArray
from evenhand._base.threads import threads_allowed

CHUNK_BYTES = 8 << 20
"""Of a chunk of features, and of each temporary beside it: what the last cache holds."""


MIN_CHUNK, ONCE_CHUNK, MAX_CHUNK = 256, 1 << 14, 1 << 16


SINGLE = np.dtype(np.float32)


@dataclass(frozen=True, eq=False)
class RowArrays:
    """What is passed over.

    Attributes:
        features: (N, d), an array, a memory map, or anything whose slices are arrays.
        labels: (N,) integers in [0, K).
        atoms: (N,) the atomic cell of each row, ``number`` for rows in none; see
            :mod:`evenhand.heads.streaming.atomic_cells`.
        number: how many atomic cells there are, A.
        dtype: of the products.
        folds: (N,) the fold that holds each row, where heads leave one out.
        weights: (N,) of the rows in the log-loss, mean 1.
        masses: (N,) what each row counts in all sums; 1 by default.
    """

    features: Any
    labels: IntArray
    atoms: npt.NDArray[Any]
    number: int
    dtype: np.dtype[Any] = SINGLE
    folds: npt.NDArray[Any] | None = None
    weights: npt.NDArray[Any] | None = None
    masses: npt.NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def width(self) -> int:
        """How many features a row has, d."""
        return int(self.features.shape[1])

    @property
    def held(self) -> bool:
        """Whether the features are in memory, where reading them twice is cheap."""
        mapped = getattr(self.features, "_mmap", None)
        return isinstance(self.features, np.ndarray) and mapped is None

    def chunks(self, columns: int = 1, *, once: bool = False) -> Iterator[slice]:
        """Spans of rows whose features and ``columns`` numbers each stay in cache.

        The features need not where each is used ``once``, unless they are to be converted.
        """
        direct = once and self.held and self.features.dtype == self.dtype
        widest = max(1 if direct else self.width, columns) * self.dtype.itemsize
        most = ONCE_CHUNK if direct else MAX_CHUNK
        step = int(np.clip(CHUNK_BYTES // widest, MIN_CHUNK, most))
        rows, threads = len(self), threads_allowed()
        # As many for each thread, of one size.
        number = max(1, threads * -(-rows // (threads * step)))
        step = max(1, min(MIN_CHUNK, step), -(-rows // number))
        for start in range(0, rows, step):
            yield slice(start, min(start + step, rows))
