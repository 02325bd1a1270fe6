"""Images of a table in memory: their paths or their bytes in one of its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand._base.arrays import IntArray
from evenhand._base.text import listed, visible
from evenhand.errors import InputError
from evenhand.tasks.decode_image import decode
from evenhand.tasks.image_folders import IMAGES
from evenhand.tasks.image_places import is_place, read_place, stamp_of
from evenhand.tasks.inputs import View
from evenhand.tasks.labelled import Labelled, label_frame
from evenhand.tasks.labels import group_columns
from evenhand.tasks.options import LABELLING
from evenhand.tasks.read_table import frame_of
from evenhand.tasks.rows_at_hand import RowsAtHand, opened_rows
from evenhand.tasks.shard_samples import IMAGE, KEY

if TYPE_CHECKING:
    import numpy.typing as npt

TOGETHER = 256
"""Images taken from a column together, where all are looked at."""


class ImagesAtHand(Sequence[Any]):
    """Images at paths, in shards, or encoded in memory, decoded when asked for.

    Args:
        items: paths, bytes, places in shards, or what ``datasets`` keeps of an image: a mapping of
            bytes and path. A column of Arrow is left where it is: on disk, where it is mapped.
        name: what a cache of their features is called.
        start: the place of the first in the data that they were taken from, for errors.

    Raises:
        InputError: (on access) an image is missing, damaged or unreasonably large.
    """

    def __init__(self, items: Any, name: str = "images", *, start: int = 0) -> None:
        self.items: Any = items if _is_column(items) else list(items)
        self.name, self.start = name, start

    @property
    def fingerprint(self) -> str:
        """sha256 of the images' bytes; of files: paths, sizes and times of change."""
        digest = hashlib.sha256()
        stamp = cache(stamp_of)
        for item in self._all():
            if is_place(item):
                told = f"{stamp(item['path'])} {item['offset']} {item['size']}\n"
                digest.update(told.encode("utf-8", "surrogateescape"))
                continue
            held = kept(item)
            if isinstance(held, bytes):
                digest.update(hashlib.sha256(held).digest())
            else:
                state = held.stat()
                digest.update(f"{held} {state.st_size} {state.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def _all(self) -> Iterator[Any]:
        if not _is_column(self.items):
            yield from self.items
            return
        for start in range(0, len(self.items), TOGETHER):
            yield from self.items.slice(start, TOGETHER).to_pylist()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, (int, np.integer)):
            return View(self, np.arange(len(self))[index])
        item = self.items[int(index)]
        item = item.as_py() if _is_column(self.items) else item
        held = kept(item)
        if isinstance(held, bytes):
            where = f" in {Path(item['path']).name}" if is_place(item) else ""
            return decode(held, f"{self.start + int(index) + 1}{where}")
        return decode(held.read_bytes(), held.name)


def _is_column(items: Any) -> bool:
    return hasattr(items, "to_pylist") and hasattr(items, "chunk")


def kept(item: Any) -> bytes | Path:
    """The bytes or the path of an image.

    Raises:
        InputError: neither is there.
    """
    if is_place(item):
        return read_place(item)
    if isinstance(item, Mapping):
        item = item.get("bytes") or item.get("path")
    if isinstance(item, bytes):
        return item
    if isinstance(item, str | Path):
        return Path(item)
    raise InputError(f"an image must be its bytes or a path, found {type(item).__name__}")


def images_and_labels(
    data: Any, *, label: str, groups: str | Sequence[str], file: str, how: Mapping[str, Any]
) -> tuple[ImagesAtHand, Labelled, tuple[str, ...]]:
    """The images of a table in memory, its labels and groups, and notes.

    Args:
        data: the table, see :func:`evenhand.tasks.rows_at_hand.opened_rows`.
        label, groups: columns.
        file: the column of images.
        how: options, see :data:`evenhand.tasks.options.FILE_OPTIONS`.

    Raises:
        InputError: a column that is not there, or a path where there is no file.
    """  # noqa: DOC502
    import pyarrow as arrow

    found = opened_rows(data, how)
    opened = found.table
    column = column_of_images(found, file)
    batches = list(opened.read([opened.place(column)]))
    items = arrow.chunked_array([batch.column(0) for batch in batches])
    listed = group_columns(groups, opened.columns)
    read = [name for name in opened.columns if name not in (column, *found.images)]
    frame, notes, digest = frame_of(
        opened, names=[label, *listed], columns=read, missing=how["missing"]
    )
    asked = {name: how[name] for name in LABELLING} | {"split": found.split}
    made = label_frame(frame, digest, label=label, groups=listed, **asked)
    if column not in found.images:
        _require_there(items, made.rows)
    return ImagesAtHand(items, how["name"] or found.name), made, notes


def column_of_images(found: RowsAtHand, file: str) -> str:
    """The column of images: that called ``file``, or the one that shards have.

    Raises:
        InputError: shards have none, or several of other names.
    """
    if file in found.images or (not found.images and KEY not in found.table.columns):
        return file
    if not found.images:
        raise InputError(f"{found.table.label} hold no image ({listed(IMAGES)}): is it task text?")
    if found.images == (IMAGE,):
        return IMAGE
    raise InputError(
        f"a sample has several images ({listed(found.images)}): say which one is to be read with "
        "file"
    )


def _require_there(items: Any, rows: IntArray) -> None:
    """Refuse an image that is neither at hand nor at its path; what is at hand is not read."""
    elsewhere = rows[~_at_hand(items)[rows]]
    for row in elsewhere:
        held = kept(items[int(row)].as_py())
        if not isinstance(held, bytes) and not held.is_file():
            raise InputError(f"row {row + 1}: there is no image at {visible(held)}")


def _at_hand(items: Any) -> npt.NDArray[np.bool_]:
    """Which of a column's images have their bytes in it."""
    import pyarrow as arrow
    from pyarrow import compute

    kind = items.type
    if arrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        items = compute.struct_field(items, "bytes")
        kind = items.type
    if arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind):
        return np.asarray(items.is_valid().to_numpy(), dtype=np.bool_)
    return np.zeros(len(items), dtype=np.bool_)
