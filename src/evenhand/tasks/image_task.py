"""Images with a table of labels and groups."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Unpack

import numpy as np

from evenhand._base.options import with_defaults
from evenhand.errors import InputError
from evenhand.tasks.archive import Archive, FolderArchive, open_archive
from evenhand.tasks.decode_image import decode
from evenhand.tasks.image_folders import image_names, table_of_folders
from evenhand.tasks.images_at_hand import ImagesAtHand, images_and_labels, kept
from evenhand.tasks.inputs import View
from evenhand.tasks.labelled import Labelled, label_frame
from evenhand.tasks.labels import column_of, group_columns
from evenhand.tasks.open_table import open_table
from evenhand.tasks.options import FILE_OPTIONS, LABELLING, FileOptions
from evenhand.tasks.raw import ImageColumn
from evenhand.tasks.read_table import frame_of
from evenhand.tasks.shard_names import is_shards
from evenhand.tasks.task import Task

MAX_MISSING = 0.05


class ImageFiles(Sequence[Any]):
    """Images of an archive, decoded when asked for.

    Args:
        archive: a folder or zip file.
        names: N file names in it.
        name: what a cache of their features is called.

    Items are PIL images in RGB; see :func:`evenhand.tasks.decode_image.decode`.

    Raises:
        InputError: (on access) an image is missing, damaged or unreasonably large.
    """

    def __init__(self, archive: Archive, names: Sequence[str], name: str = "images") -> None:
        self.archive = archive
        self.names = list(names)
        self.name = name

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the names, their order and the files' checksums (of a folder: sizes, times)."""
        return self.archive.fingerprint(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (int, np.integer)):
            name = self.names[int(index)]
            return decode(self.archive.read(name), name)
        return View(self, np.arange(len(self))[index])


class ImagePaths(Sequence[Any]):
    """Images at paths, decoded when asked for as those of a task are.

    Args:
        items: paths; what is none (an image at hand) is given as it is.
    """

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = list(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, (int, np.integer)):
            return View(self, np.arange(len(self))[index])
        item = self.items[int(index)]
        if not isinstance(item, (str, Path, bytes, dict)):
            return item
        held = kept(item)
        if isinstance(held, bytes):
            return decode(held, f"image {int(index) + 1}")
        return decode(held.read_bytes(), held.name)


def images(
    data: Any,
    *,
    label: str,
    groups: str | Sequence[str],
    metadata: str | None = None,
    file: str = "file",
    **options: Unpack[FileOptions],
) -> Task:
    """A folder or zip file of images with a CSV (or Parquet) of labels as a task.

    Args:
        data: the folder or zip file; or the CSV itself, its files relative to its own folder; or
            rows in memory as ``table`` takes them, or a streamed ``datasets.IterableDataset``,
            whose column ``file`` holds paths or images; or WebDataset shards: a tar,
            ``"shards-{0000..0146}.tar"``, ``"shards/*.tar"``, a list of these, or a mapping of
            splits to these. Their columns are the keys of each ``.json``, ``cls``, ``txt``,
            ``__key__``, ``__shard__`` and ``__split__``, the part that a shard's name tells.
        metadata: the CSV's name inside ``data``; None: the only CSV there, or ``metadata.csv``;
            where there is none, the folders: ``folder`` is the one an image lies in, ``folder 2``
            the one above, and so on, to be named as ``label``, ``groups`` and ``split``.
        file: its column of file names, relative to the CSV or to the top; of shards the image's
            ending, where a sample has several.
        label, groups, options: as for ``table``.

    Raises:
        InputError: no metadata, a column that is not there, more than 5 % of the files missing.

    Example:
        >>> task = eh.tasks.images("photos", label="smiling", groups="gender", file="file")
        >>> len(task.train), task.train.inputs[0].size
        (36, (24, 20))
    """
    how = with_defaults(FILE_OPTIONS, options, "tasks.images")
    if is_shards(data) or not isinstance(data, str | Path):
        at_hand, made, notes = images_and_labels(
            data, label=label, groups=groups, file=file, how=how
        )
        return image_task(at_hand, made, label=label, notes=notes, file=file)
    path = Path(data)
    archive: Archive
    if path.is_file() and path.name.lower().endswith((".csv", ".tsv", ".csv.gz", ".parquet")):
        archive, metadata = FolderArchive(path.parent), path.name
    else:
        archive = open_archive(path)
    listing = metadata or _only_table(archive)
    label_file = PurePosixPath(listing or "the folders")
    if listing is None:
        opened = table_of_folders(archive, file)
    else:
        opened = open_table(
            archive.read(listing),
            label=label_file.name,
            delimiter=how["delimiter"],
            encoding=how["encoding"],
        )
    listed = group_columns(groups, opened.columns)
    frame, notes, digest = frame_of(
        opened, texts=[file], names=[label, *listed], missing=how["missing"]
    )
    files = resolve(archive, column_of(frame, file, "file"), label_file.parent.as_posix())
    absent = [str(frame[file].iloc[row]) for row, found in enumerate(files) if found is None]
    if len(absent) > MAX_MISSING * len(files):
        raise InputError(
            f"{len(absent)} of the {len(files)} files in column {file!r} of {label_file.name} are "
            f"not in {archive.path.name}, such as {', '.join(absent[:3])}"
        )
    if absent:
        notes += (f"{len(absent)} files are not there, left out: {', '.join(absent[:3])}",)
        there = np.array([found is not None for found in files])
        frame = frame[there].reset_index(drop=True)
    made = label_frame(
        frame,
        digest,
        label=label,
        groups=listed,
        **{name: how[name] for name in LABELLING},
    )
    parent = ImageFiles(archive, [f for f in files if f], how["name"] or path.name.split(".")[0])
    return image_task(parent, made, label=label, notes=notes, file=file)


def image_task(
    parent: ImageFiles | ImagesAtHand,
    made: Labelled,
    *,
    label: str,
    notes: tuple[str, ...] = (),
    file: str = "file",
) -> Task:
    """A task whose splits are views of one sequence of images."""
    digest = hashlib.sha256(f"{made.fingerprint} {parent.fingerprint}".encode()).hexdigest()
    return Task(
        name=parent.name,
        classes=made.classes,
        label=label,
        fingerprint=digest,
        notes=notes + made.notes,
        raw=ImageColumn(file),
        **made.examples(lambda rows: View(parent, made.rows[rows])),
    )


def resolve(archive: Archive, names: Iterable[Any], folder: str) -> list[str | None]:
    """The archive's own name of each file, looked for beside the table and from the top."""
    found: list[str | None] = []
    for name in names:
        plain = str(name).strip().replace("\\", "/").removeprefix("./")
        beside = plain if folder in ("", ".") else f"{folder}/{plain}"
        found.append(next((n for n in (beside, plain) if n in archive.sizes), None))
    return found


def _only_table(archive: Archive) -> str | None:
    """The table of labels in an archive; None where there is none, and folders say them."""
    usual = archive.find("metadata.csv")
    if usual:
        return usual
    ending = (".csv", ".tsv", ".parquet", ".csv.gz")
    tables = [name for name in archive.sizes if name.lower().endswith(ending)]
    if not tables and len({name.rpartition("/")[0] for name in image_names(archive)}) > 1:
        return None
    if len(tables) != 1:
        listed = ", ".join(tables[:5]) or "none"
        if not tables and any(is_shards(name) for name in archive.sizes):
            raise InputError(
                f"{archive.path} holds tars and no table of labels: give shards by their names, as "
                f"{archive.path}/*.tar"
            )
        raise InputError(
            f"{archive.path} needs one table of labels, found {listed}: name it with metadata='…'"
        )
    return tables[0]
