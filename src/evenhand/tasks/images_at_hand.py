"""Images of a table in memory: their paths or their bytes in one of its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evenhand._base.text import visible
from evenhand.errors import InputError
from evenhand.tasks.decode_image import decode
from evenhand.tasks.inputs import View
from evenhand.tasks.labelled import Labelled, label_frame
from evenhand.tasks.labels import group_columns
from evenhand.tasks.options import LABELLING
from evenhand.tasks.read_table import frame_of
from evenhand.tasks.rows_at_hand import opened_rows


class ImagesAtHand(Sequence[Any]):
    """Images at paths, or encoded in memory, decoded when asked for.

    Args:
        items: paths, bytes, or what ``datasets`` keeps of an image: a mapping of both.
        name: what a cache of their features is called.

    Raises:
        InputError: (on access) an image is missing, damaged or unreasonably large.
    """

    def __init__(self, items: Sequence[Any], name: str = "images") -> None:
        self.items = list(items)
        self.name = name

    @property
    def fingerprint(self) -> str:
        """sha256 of the images' bytes; of files: paths, sizes and times of change."""
        digest = hashlib.sha256()
        for item in self.items:
            held = kept(item)
            if isinstance(held, bytes):
                digest.update(hashlib.sha256(held).digest())
            else:
                state = held.stat()
                digest.update(f"{held} {state.st_size} {state.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, (int, np.integer)):
            return View(self, np.arange(len(self))[index])
        held = kept(self.items[int(index)])
        if isinstance(held, bytes):
            return decode(held, f"image {int(index) + 1}")
        return decode(held.read_bytes(), held.name)


def kept(item: Any) -> bytes | Path:
    """The bytes or the path of an image.

    Raises:
        InputError: neither is there.
    """
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
    """
    import pyarrow as arrow

    found = opened_rows(data, how)
    opened = found.table
    batches = list(opened.read([opened.place(file)]))
    items = arrow.chunked_array([batch.column(0) for batch in batches]).to_pylist()
    listed = group_columns(groups, opened.columns)
    read = [name for name in opened.columns if name != file]
    frame, notes, digest = frame_of(
        opened, names=[label, *listed], columns=read, missing=how["missing"]
    )
    asked = {name: how[name] for name in LABELLING} | {"split": found.split}
    made = label_frame(frame, digest, label=label, groups=listed, **asked)
    for row in made.rows:
        held = kept(items[row])
        if not isinstance(held, bytes) and not held.is_file():
            raise InputError(f"row {row + 1}: there is no image at {visible(held)}")
    return ImagesAtHand(items, how["name"] or found.name), made, notes
