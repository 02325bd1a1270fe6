"""Where an image lies: the bytes of a tar from one offset on, as a value of an Arrow column."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evenhand.errors import InputError
from evenhand.tasks.tar_members import read_member


def place_type() -> Any:
    """The Arrow type of places: the tar's path, and where in it the image begins and how long."""
    import pyarrow as arrow

    return arrow.struct(
        [("path", arrow.string()), ("offset", arrow.int64()), ("size", arrow.int64())]
    )


def is_place(item: Any) -> bool:
    """Whether a value is a place."""
    return isinstance(item, dict) and item.keys() == {"path", "offset", "size"}


def read_place(place: dict[str, Any]) -> bytes:
    """The bytes that lie there.

    Raises:
        InputError: the tar is not there any more, or shorter than it was.
    """  # noqa: DOC502
    return read_member(Path(place["path"]), place["offset"], place["size"])


def digest_of_tars(paths: Iterable[Path]) -> str:
    """sha256 of tars' names, sizes and times of change: of what is too large to be read for it.

    Raises:
        InputError: one is not there any more.
    """  # noqa: DOC502
    return hashlib.sha256("\n".join(stamp_of(str(path)) for path in paths).encode()).hexdigest()


def stamp_of(path: str) -> str:
    """What changes when a tar does: its name, its size and its time of change.

    Raises:
        InputError: it is not there any more.
    """
    tar = Path(path)
    try:
        about = tar.stat()
    except OSError as error:
        raise InputError(f"{tar.name} is not there any more: {error.strerror or error}") from error
    return f"{tar.name} {about.st_size} {about.st_mtime_ns}"
