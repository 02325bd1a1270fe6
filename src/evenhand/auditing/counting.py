"""Count rows as they stream by: groups × label × prediction, and scores in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.text import visible
from evenhand.errors import InputError

MOST_VALUES = 2000
"""More values than this in a column are no groups or classes but numbers or identifiers."""


MOST_ENTRIES = 3_000_000


MISSING = -1


Ints = npt.NDArray[np.int64]


class Coder:
    """The codes of the values of one column, in order of appearance over all chunks."""

    def __init__(self, column: str, role: str) -> None:
        self.column, self.role = column, role
        self.codes: dict[str, int] = {}

    def __call__(self, codes: Ints, values: Sequence[str]) -> Ints:
        """(n,) chunk codes to (n,) codes that hold over all chunks; missing stays -1.

        Raises:
            InputError: there are more different values than a column may hold.
        """
        known = np.empty(len(values) + 1, dtype=np.int64)
        for i, value in enumerate(values):
            known[i] = self.codes.setdefault(value, len(self.codes))
        known[-1] = MISSING
        if len(self.codes) > MOST_VALUES:
            advice = (
                "give it as the score" if self.role == "prediction" else "bin it or choose another"
            )
            raise InputError(
                f"{self.role} column {visible(self.column)!r} holds more than {MOST_VALUES:,} "
                f"different values: {advice}"
            )
        return known[codes]

    @property
    def names(self) -> list[str]:
        """The values by code."""
        return list(self.codes)


class Tally:
    """How many rows fell in each combination of codes, and the sum of a value over them."""

    def __init__(self) -> None:
        self.keys: Ints = np.empty((0, 0), dtype=np.int64)
        self.rows: npt.NDArray[np.float64] = np.empty(0)
        self.sums: npt.NDArray[np.float64] = np.empty(0)

    def add(self, parts: Sequence[Ints], values: npt.NDArray[np.float64] | None = None) -> None:
        """Count rows whose codes are ``parts``, each (n,) and at least -1."""
        shape = [int(part.max(initial=-1)) + 2 for part in parts]
        flat = np.zeros(len(parts[0]), dtype=np.int64)
        for part, size in zip(parts, shape, strict=True):
            flat *= size
            flat += part + 1
        total = int(np.prod([float(s) for s in shape])) if shape else 0
        if total <= 4 * len(flat) + 1024:
            rows = np.bincount(flat, minlength=total).astype(np.float64)
            sums = np.zeros(total) if values is None else np.bincount(flat, values, total)
            found = np.flatnonzero(rows)
            rows, sums = rows[found], sums[found]
        else:
            found, inverse = np.unique(flat, return_inverse=True)
            rows = np.bincount(inverse).astype(np.float64)
            sums = np.zeros(len(found)) if values is None else np.bincount(inverse, values)
        keys = np.stack(np.unravel_index(found, shape), axis=1).astype(np.int64) - 1
        self._merge(keys, rows, sums)

    def _merge(self, keys: Ints, rows: Any, sums: Any) -> None:
        if len(self.rows):
            keys = np.concatenate([self.keys, keys])
            rows, sums = np.concatenate([self.rows, rows]), np.concatenate([self.sums, sums])
        order = np.lexsort(keys.T[::-1])
        keys, rows, sums = keys[order], rows[order], sums[order]
        first = np.ones(len(keys), dtype=bool)
        first[1:] = (keys[1:] != keys[:-1]).any(axis=1)
        at = np.flatnonzero(first)
        self.keys = keys[at]
        self.rows, self.sums = np.add.reduceat(rows, at), np.add.reduceat(sums, at)


class ScoreTally:
    """Scores counted by combination, exact until too many differ, then ever coarser.

    A float64 becomes an integer of the same order; dropping its low bits coarsens every score by
    the same relative step, so that memory stays bounded whatever the number of rows.
    """

    def __init__(self) -> None:
        self.shift = 0
        self.cell = np.empty(0, dtype=np.int64)
        self.key = np.empty(0, dtype=np.int64)
        self.rows = np.empty(0)
        self._waiting: list[tuple[Ints, Ints]] = []
        self._held = 0

    def add(self, cells: Ints, scores: npt.NDArray[np.float64]) -> None:
        """Count (n,) scores of rows in (n,) cells."""
        bits = (scores + 0.0).view(np.int64)
        ordered = np.where(bits < 0, np.int64(-(2**63)) - bits, bits)
        self._waiting.append((cells, ordered >> self.shift))
        self._held += len(cells)
        if self._held >= MOST_ENTRIES:
            self.settle()

    def settle(self) -> None:
        """Merge what waits, and coarsen while there are too many entries."""
        if self._waiting:
            cell = np.concatenate([self.cell, *(c for c, _ in self._waiting)])
            key = np.concatenate([self.key, *(k for _, k in self._waiting)])
            rows = np.concatenate([self.rows, np.ones(self._held)])
            self._waiting, self._held = [], 0
            self._unite(cell, key, rows)
        while len(self.rows) > MOST_ENTRIES // 3:
            step = 40 if self.shift == 0 else 2
            self.shift += step
            self._unite(self.cell, self.key >> step, self.rows)

    def _unite(self, cell: Ints, key: Ints, rows: npt.NDArray[np.float64]) -> None:
        order = np.lexsort((cell, key))
        cell, key, rows = cell[order], key[order], rows[order]
        first = np.ones(len(key), dtype=bool)
        first[1:] = (key[1:] != key[:-1]) | (cell[1:] != cell[:-1])
        at = np.flatnonzero(first)
        self.cell, self.key, self.rows = cell[at], key[at], np.add.reduceat(rows, at)

    @property
    def exact(self) -> bool:
        """True while no score was rounded."""
        return self.shift == 0
