"""LFWA+: Labeled Faces in the Wild with 40 attributes, from the user's own copy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from evenhand.errors import InputError
from evenhand.tasks.archive import open_archive
from evenhand.tasks.datasets.face_attributes import attribute_frame
from evenhand.tasks.image_task import ImageFiles, image_task, resolve
from evenhand.tasks.labelled import label_frame
from evenhand.tasks.read_table import read_frame
from evenhand.tasks.task import Task

PAPER_SIZES = {"train": 6_885, "valid": 1_000, "test": 5_258}


LISTING = "lfwa_attributes.csv"


PERSON = "(person)"


def lfwa(
    data: str | Path,
    *,
    label: str = "Male",
    group: str | Sequence[str] = "Heavy_Makeup",
    seed: int = 0,
    split: Mapping[str, float] | None = None,
) -> Task:
    """LFWA+, split by person: nobody is in two parts.

    Args:
        data: the folder or zip file with ``lfwa_attributes.csv`` (a column ``file``, then 40
            attributes of 0 or 1) and ``images/PERSON/PERSON_0001.jpg``.
        label: any of the 40 attributes.
        group: any other, or several (crossed; separated by commas in a text).
        seed: of the split.
        split: fractions of train, valid and test; None: the paper's 6,885 / 1,000 / 5,258. People
            have up to hundreds of images, so the parts come near these sizes, not on them.

    Raises:
        InputError: no attribute list, an unknown attribute, or none of its images there.
        ArtefactError: a damaged zip file.

    Example:
        >>> task = eh.tasks.lfwa("lfwa", label="Smiling", group="Male")
        >>> len(task.train), task.train.groups.names
        (20, ('Female', 'Male'))
    """  # noqa: DOC502
    archive = open_archive(data)
    listing = archive.find(LISTING)
    if listing is None:
        raise InputError(f"{archive.path} has no {LISTING}")
    attributes, notes, digest = read_frame(archive.read(listing), name=LISTING)
    if attributes.columns[0] != "file":
        raise InputError(
            f"{LISTING} must start with a column 'file', found {attributes.columns[0]!r}"
        )
    folder = PurePosixPath(listing).parent
    files = resolve(archive, attributes["file"], (folder / "images").as_posix())
    there = [found is not None for found in files]
    if not any(there):
        raise InputError(f"none of the {len(files)} images of {LISTING} is in {archive.path}")
    if not all(there):
        notes += (f"{there.count(False)} of {len(there)} listed images are not there: left out",)
        attributes = attributes[there].reset_index(drop=True)
    frame = attribute_frame(attributes, label, group, "lfwa")
    groups = list(frame.columns.drop(label))
    frame[PERSON] = [PurePosixPath(str(name)).parent.as_posix() for name in attributes["file"]]
    total = sum(PAPER_SIZES.values())
    made = label_frame(
        frame,
        hashlib.sha256(digest.encode()).hexdigest(),
        label=label,
        groups=groups,
        positive=label,
        split=split or {part: size / total for part, size in PAPER_SIZES.items()},
        split_by=PERSON,
        seed=seed,
    )
    parent = ImageFiles(archive, [name for name in files if name], "lfwa")
    return image_task(parent, made, label=label, notes=notes)
