"""A table in a file or in memory, as batches of Arrow columns."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from evenhand._base.text import visible
from evenhand.errors import InputError

if TYPE_CHECKING:
    pass

Batches = Iterator[Any]
"""pyarrow RecordBatches whose columns are those asked for, in that order, named "0", "1", …"""


HEAD = 1 << 20
"""Bytes looked at to say what a file is, and how its CSV is written."""


MAX_UNPACKED, MAX_RATIO = 256 * 1024**2, 200
"""A packed file may unpack to so many bytes, or to so many times its own; tables seldom reach 50"""


@dataclass(eq=False)
class TableFile:
    """A table that is read a batch at a time.

    Attributes:
        label: what errors and notes call it.
        columns: the names of its columns, in order; a name may come more than once.
        read: the positions of columns to batches of them.
        notes: what was left out while reading; complete once the batches are exhausted.
        size: bytes of the file; None for a table in memory.
        path: of a Parquet file or CSV that is not packed, which an engine can read itself.
        layout: what it must know for that: the Arrow schema, or the dialect of the CSV.
        hashed: makes the digest, which is made when it is first asked for.
        misfits: row of the table, from 0, to why its line cannot be read. Set it to {} to have such
            lines told here instead of left out; they are, before the rows that follow them.
    """

    label: str
    columns: tuple[str, ...]
    read: Callable[[Sequence[int]], Batches]
    notes: list[str] = field(default_factory=list)
    size: int | None = None
    path: Path | None = None
    layout: Any = None
    misfits: dict[int, str] | None = None
    hashed: Callable[[], str] | None = None

    @cached_property
    def digest(self) -> str | None:
        """sha256 of the file; None for a table in memory."""
        return None if self.hashed is None else self.hashed()

    def place(self, name: str) -> int:
        """The position of the column called ``name``.

        Raises:
            InputError: there is none, or several.
        """
        places = [at for at, column in enumerate(self.columns) if column == name]
        if len(places) > 1:
            self.refuse_twice(name)
        if not places:
            raise InputError(f"{self.label} has no column {visible(name)!r}")
        return places[0]

    def refuse_twice(self, name: str) -> None:
        """Refuse a column that is there more than once.

        Raises:
            InputError: it is.
        """
        places = [str(at) for at, column in enumerate(self.columns, 1) if column == name]
        if len(places) > 1:
            raise InputError(
                f"{self.label} has column {visible(name)!r} {len(places)} times "
                f"(columns {', '.join(places)}): rename or remove one, so that it is clear which "
                "is meant"
            )

    def refuse_doubles(self) -> None:
        """Refuse any name that is there more than once.

        Raises:
            InputError: one is.
        """  # noqa: DOC502
        for name, times in Counter(self.columns).items():
            if times > 1:
                self.refuse_twice(name)


@dataclass(frozen=True)
class Content:
    """The bytes of a file, opened as often as needed; a gzip file is unpacked on the way.

    Attributes:
        held: the path of the file, or its bytes.
        packed: it is a gzip file.
        label: what errors call it.
    """

    held: Path | bytes
    label: str
    packed: bool = False

    def open(self) -> BinaryIO:
        """The content from its start."""
        plain = io.BytesIO(self.held) if isinstance(self.held, bytes) else self.held.open("rb")
        if not self.packed:
            return plain
        return io.BufferedReader(_Unpacked(plain, self.size, self.label), 1 << 20)

    @property
    def path(self) -> Path | None:
        """The file, where it holds the content as it is."""
        return self.held if isinstance(self.held, Path) and not self.packed else None

    @property
    def size(self) -> int:
        """Bytes, as they are kept."""
        return len(self.held) if isinstance(self.held, bytes) else self.held.stat().st_size

    def start(self, most: int = HEAD) -> bytes:
        """The first bytes."""
        with self.open() as file:
            return file.read(most)

    def whole(self) -> bytes:
        """All bytes."""
        if isinstance(self.held, bytes) and not self.packed:
            return self.held
        with self.open() as file:
            return file.read()

    def digest(self) -> str:
        """sha256 of the bytes as they are kept."""
        if isinstance(self.held, bytes):
            return hashlib.sha256(self.held).hexdigest()
        with self.held.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class _Unpacked(io.RawIOBase):
    """A gzip file read as what it holds; refused while it unpacks beyond reason."""

    def __init__(self, packed: BinaryIO, size: int, label: str) -> None:
        self._packed, self._file = packed, gzip.GzipFile(fileobj=packed)
        self._left, self._size, self._label = max(MAX_UNPACKED, MAX_RATIO * size), size, label
        self._most = self._left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            part = self._file.read(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{self._label} is not a whole gzip file: {error}") from error
        self._left -= len(part)
        if self._left < 0:
            raise InputError(
                f"{self._label} unpacks to more than {self._most} bytes from {self._size}: unpack "
                "it yourself if it is to be trusted"
            )
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            self._packed.close()
        super().close()
