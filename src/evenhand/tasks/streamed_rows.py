"""Rows that come once, in order: laid down on disk as they come, and read from there.

A streamed ``datasets.IterableDataset`` may be far larger than memory. Its rows go into a file
without a name in the cache folder, which is mapped into memory and gone with the process, even one
that is killed: nothing is left to be cleared, damaged or mistaken for other rows.
"""

from __future__ import annotations

import hashlib
import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any

from evenhand._base.cache_folder import cache_root, private_folder
from evenhand.errors import InputError

TOGETHER = 256
"""Rows written together: of photos some tens of megabytes."""


def is_streamed(rows: Any) -> bool:
    """Whether it is a data set of the library ``datasets`` whose rows come once, in order."""
    return hasattr(rows, "with_format") and hasattr(rows, "iter") and not hasattr(rows, "__len__")


def spilled(rows: Any, what: str) -> tuple[Any, str]:
    """A stream as an Arrow table on disk.

    Args:
        rows: such a data set; it is read to its end.
        what: it is, for errors.

    Returns:
        The table, mapped into memory, and the sha256 of what was written.

    Raises:
        InputError: it gives no row, columns that do not go together, or there is no room for it.
    """
    import pyarrow as arrow

    with tempfile.TemporaryFile(dir=private_folder(cache_root())) as file:
        kept = HashedFile(file)
        try:
            starts = _written(rows, kept, what)
            file.flush()
            if not starts:
                raise InputError(f"{what} give no row: the stream is at its end")
            mapped = arrow.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            parts = [
                arrow.ipc.open_stream(mapped.slice(start, end - start)).read_all()
                for start, end in zip(starts, [*starts[1:], kept.size], strict=True)
            ]
            table = arrow.concat_tables(parts, promote_options="permissive")
        except arrow.ArrowException as error:
            raise InputError(
                f"{what} cannot be made one table: {str(error).splitlines()[0]}; give the "
                "data set its features, where its columns change on the way"
            ) from error
    return table, kept.sha256.hexdigest()


def _written(rows: Any, kept: HashedFile, what: str) -> list[int]:
    """Where in the file each run of rows with the same columns begins."""
    import pyarrow as arrow

    starts: list[int] = []
    writer = schema = None
    for plain in _batches(rows):
        with _room(what):
            if writer is None or plain.schema != schema:
                if writer is not None:
                    writer.close()
                schema = plain.schema
                starts.append(kept.size)
                writer = arrow.ipc.new_stream(arrow.PythonFile(kept, mode="w"), schema)
            writer.write_table(plain)
    if writer is not None:
        with _room(what):
            writer.close()
    return starts


def _batches(rows: Any) -> Iterator[Any]:
    """Tables of some rows each. ``iter(batch_size)`` of the library joins rows of one type only: a
    value that is missing has another."""
    import pyarrow as arrow

    source = iter(rows.with_format("arrow"))
    while some := list(islice(source, TOGETHER)):
        whole = arrow.concat_tables(some, promote_options="permissive")
        yield whole.replace_schema_metadata(None).combine_chunks()


@contextmanager
def _room(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{what} cannot be laid down in the cache folder {cache_root()}: "
            f"{error.strerror or error}; set EVENHAND_CACHE to a folder with room for all rows"
        ) from error


class HashedFile:
    """A file for Arrow to write to, which is hashed as it is written.

    Args:
        file: where the bytes go; None: nowhere, the hash is all that is wanted.
    """

    closed = False

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self.file, self.size, self.sha256 = file, 0, hashlib.sha256()

    def write(self, some: Any) -> int:
        """Take more bytes."""
        self.sha256.update(some)
        self.size += len(some)
        if self.file is not None:
            self.file.write(some)
        return len(some)

    def flush(self) -> None:
        """What waits is written when all is."""

    def close(self) -> None:
        """The file stays open: it has no name to be opened by."""
