"""Sequences of raw inputs, and views of a part of one: what a split of a task holds.

A view remembers its parent, so that features are extracted once for the parent and shared by every
split and every seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from evenhand._base.arrays import IntArray
from evenhand.errors import InputError


class View(Sequence[Any]):
    """Some rows of a parent sequence, in an order of their own.

    Args:
        parent: any sequence; a view of a view sees the first parent.
        rows: (n,) positions in the parent.
    """

    def __init__(self, parent: Any, rows: Any) -> None:
        positions = np.asarray(rows, dtype=np.int64)
        if positions.size and (positions.min() < 0 or positions.max() >= len(parent)):
            raise InputError(
                f"rows of a view must lie in [0, {len(parent)}), "
                f"found {positions.min()} to {positions.max()}"
            )
        nested = isinstance(parent, View)
        self.parent: Sequence[Any] = parent.parent if nested else parent
        self.rows: IntArray = parent.rows[positions] if nested else positions

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (int, np.integer)):
            return self.parent[int(self.rows[index])]
        return View(self.parent, self.rows[index])

    def __iter__(self) -> Iterator[Any]:
        return (self.parent[int(row)] for row in self.rows)


class Texts(Sequence[str]):
    """A column of texts.

    Args:
        texts: N strings.
        name: what a cache of their features is called.
    """

    def __init__(self, texts: Sequence[str], name: str = "texts") -> None:
        self.texts = list(texts)
        self.name = name
        self.fingerprint = digest_of(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (int, np.integer)):
            return self.texts[int(index)]
        return View(self, np.arange(len(self))[index])


class Joined(Sequence[Any]):
    """Several sequences as one, each after the other."""

    def __init__(self, *parts: Sequence[Any]) -> None:
        self.parts = parts
        self.ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, (int, np.integer)):
            return View(self, np.arange(len(self))[index])
        part, place = self.place(range(len(self))[int(index)])
        return part[place]

    def place(self, at: int) -> tuple[Sequence[Any], int]:
        """The sequence that holds the row ``at``, and its place there."""
        part = int(np.searchsorted(self.ends, at, side="right"))
        return self.parts[part], at - (int(self.ends[part - 1]) if part else 0)


def parent_and_rows(inputs: Any) -> tuple[Any, IntArray]:
    """The sequence that features are extracted for, and which of its rows ``inputs`` holds."""
    if isinstance(inputs, View):
        return inputs.parent, inputs.rows
    return inputs, np.arange(len(inputs), dtype=np.int64)


def digest_of(inputs: Any) -> str:
    """sha256 of a sequence's content and order: its own ``fingerprint``, or one of its values.

    Raises:
        InputError: the values are not arrays, numbers, texts or images.
    """
    own = getattr(inputs, "fingerprint", None)
    if isinstance(own, str):
        return own
    digest = hashlib.sha256(f"{len(inputs)}".encode())
    if isinstance(inputs, np.ndarray) and inputs.dtype != object:
        digest.update(f"{inputs.dtype} {inputs.shape}".encode())
        digest.update(np.ascontiguousarray(inputs).tobytes())
        return digest.hexdigest()
    for item in inputs:
        if isinstance(item, str):
            value = item.encode("utf-8", "surrogatepass")
        elif hasattr(item, "tobytes"):
            value = item.tobytes()
        else:
            raise InputError(
                f"inputs of type {type(item).__name__} have no fingerprint, so their features "
                "cannot be cached: give the sequence a `fingerprint` (sha256 of content and order)"
            )
        shape = getattr(item, "shape", getattr(item, "size", ""))
        digest.update(f"|{type(item).__name__} {shape} {len(value)}|".encode())
        digest.update(value)
    return digest.hexdigest()
