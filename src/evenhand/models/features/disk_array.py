"""Features that stay on disk: an array of some rows of memory-mapped shards, read when used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import FloatArray, IntArray, release
from evenhand.errors import InputError

CHUNK_BYTES = 32 << 20


class Stored:
    """(N, d) features on disk, to be used like an array.

    Rows chosen from them (a slice, positions, a mask) are on disk too. What asks for numbers gets
    an array in memory: ``np.asarray``, and every numpy function. A product with a matrix reads a
    chunk at a time.

    Args:
        maps: for each part its (n, d) memory map.
        part, row: (N,) the part that holds each row, and where in it.
        dtype: of the numbers given.
        scaling: what is subtracted from each number of a row, and what it is multiplied by then;
            there may be fewer of them than columns, and the further ones are left out.
    """

    ndim = 2

    def __init__(
        self,
        maps: Sequence[FloatArray],
        part: npt.NDArray[np.integer[Any]],
        row: npt.NDArray[np.integer[Any]],
        dtype: npt.DTypeLike = np.float32,
        scaling: tuple[FloatArray, FloatArray] | None = None,
    ) -> None:
        self._maps, self._part, self._row = tuple(maps), part, row
        self.dtype = np.dtype(dtype)
        self._scaling = scaling
        self.shape = (len(part), maps[0].shape[1] if scaling is None else len(scaling[0]))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """What they would take in memory."""
        return self.size * self.dtype.itemsize

    def __getitem__(self, rows: Any) -> Stored:
        if isinstance(rows, tuple) or np.ndim(rows) != int(not isinstance(rows, slice)):
            raise InputError(
                "features on disk give whole rows (a slice, positions or a mask); "
                "np.asarray(features) reads them for anything else"
            )
        return Stored(self._maps, self._part[rows], self._row[rows], self.dtype, self._scaling)

    def scaled(self, centre: FloatArray, scale: FloatArray) -> Stored:
        """The first columns, as many as ``centre`` has, as ``(x - centre) * scale``.

        Raises:
            InputError: they are scaled already.
        """
        if self._scaling is not None:
            raise InputError("these features on disk are scaled already")
        scaling = centre.astype(self.dtype), scale.astype(self.dtype)
        return Stored(self._maps, self._part, self._row, self.dtype, scaling)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        found = np.empty(self.shape, dtype=self.dtype if dtype is None else dtype)
        for number in np.unique(self._part):
            here = np.flatnonzero(self._part == number)
            rows = self._row[here]
            span: Any = rows
            if bool((np.diff(rows) == 1).all()):
                span = slice(int(rows[0]), int(rows[-1]) + 1)
            found[here] = self._maps[number][span][:, : self.shape[1]]
            release(self._maps[number])
        if self._scaling is not None:
            centre, scale = self._scaling
            found -= centre
            found *= scale
        return found

    def __matmul__(self, matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
        step = max(1, CHUNK_BYTES // max(1, self.shape[1] * self.dtype.itemsize))
        parts = [np.asarray(self[i : i + step]) @ matrix for i in range(0, max(1, len(self)), step)]
        return np.concatenate(parts)

    def _is_like(self, other: Stored) -> bool:
        """Whether rows of ``other`` are given as these are."""
        if self.dtype != other.dtype or (self._scaling is None) != (other._scaling is None):
            return False
        mine, theirs = self._scaling or (), other._scaling or ()
        return all(map(np.array_equal, mine, theirs))

    def __array_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any, options: Any
    ) -> Any:
        if function is np.concatenate and not options and len(arguments) == 1:
            parts = list(arguments[0])
            if all(isinstance(part, Stored) and self._is_like(part) for part in parts):
                return _joined(parts, self.dtype, self._scaling)
        plain = [_read(argument) for argument in arguments]
        return function(*plain, **{name: _read(value) for name, value in options.items()})


def _joined(
    parts: Sequence[Stored],
    dtype: npt.DTypeLike,
    scaling: tuple[FloatArray, FloatArray] | None,
) -> Stored:
    maps = [one for part in parts for one in part._maps]
    first = np.cumsum([0, *(len(part._maps) for part in parts)])
    number = [part._part + begin for part, begin in zip(parts, first[:-1], strict=True)]
    row: IntArray = np.concatenate([part._row for part in parts])
    return Stored(maps, np.concatenate(number), row, dtype, scaling)


def _read(value: Any) -> Any:
    if isinstance(value, Stored):
        return np.asarray(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_read(one) for one in value)
    return value
