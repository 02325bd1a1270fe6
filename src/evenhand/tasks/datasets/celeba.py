"""CelebA: faces with 40 attributes, from the user's own copy (Liu et al., ICCV 2015).

The images are for non-commercial research only; evenhand brings none of them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from evenhand.errors import InputError
from evenhand.tasks.archive import Archive, FolderArchive, open_archive
from evenhand.tasks.datasets.face_attributes import attribute_frame
from evenhand.tasks.image_task import ImageFiles, image_task
from evenhand.tasks.labelled import label_frame
from evenhand.tasks.task import Task

PAPER_ROWS = 202_599


PAPER_VALID, PAPER_TEST = 4_000, 8_000
"""The paper's 194,599 / 4,000 / 8,000: the 4,000 are among the 194,599, which with the 8,000 make
202,599."""


LEAST_VALID, LEAST_TEST = 1_000, 2_000
"""Of a part of CelebA, where the paper's shares would leave too few rows to measure a gap."""


PARTS = {0: "train", 1: "valid", 2: "test"}


def celeba(
    data: str | Path,
    *,
    label: str = "Wavy_Hair",
    group: str | Sequence[str] = "Male",
    seed: int = 0,
    split: Mapping[str, float] | None = None,
    limit: int | None = None,
) -> Task:
    """CelebA in its official layout, zipped or not, all of it or a part.

    Args:
        data: the folder or zip file with ``img_align_celeba/*.jpg`` (or ``img_align_celeba.zip``),
            ``list_attr_celeba.txt`` and, for the official split, ``list_eval_partition.txt``, at
            any depth (``Anno/``, ``Eval/`` and ``Img/`` too).
        label: any of the 40 attributes.
        group: any other, or several (crossed; separated by commas in a text).
        seed: of the split, where there is no official one or fractions are given.
        split: fractions of train, valid and test; None: the official partition where its file is
            there, else the paper's proportions (4,000 and 8,000 of 202,599), but at least 1,000
            valid and 2,000 test rows where that leaves half for training.
        limit: only the first so many images.

    Raises:
        InputError: no attribute list, an unknown attribute, or none of its images there.
        ArtefactError: a damaged zip file.

    Example:
        >>> task = eh.tasks.celeba("celeba", label="Smiling", group="Male")
        >>> len(task.train), task.train.groups.names
        (57, ('Female', 'Male'))
    """  # noqa: DOC502
    archive = open_archive(data)
    attributes, notes = _attributes(archive)
    images, where = _images(archive)
    there = np.array([name in where for name in attributes.index])
    if not there.any():
        raise InputError(f"none of the {len(there)} images of the attribute list is in {data}")
    if not there.all():
        notes += (f"{int((~there).sum())} of {len(there)} listed images are not there: left out",)
    attributes = attributes[there].iloc[:limit]
    frame = attribute_frame(attributes, label, group, "celeba")
    partition = None if split is not None else _partition(archive, attributes.index)
    names = [where[name] for name in attributes.index]
    parent = ImageFiles(images, names, "celeba")
    digest = hashlib.sha256(attributes.to_csv().encode()).hexdigest()
    if partition is not None:
        frame["(part)"] = partition
    made = label_frame(
        frame,
        digest,
        label=label,
        groups=list(frame.columns.drop([label, "(part)"], errors="ignore")),
        positive=label,
        split="(part)" if partition is not None else split or paper_shares(len(frame)),
        seed=seed,
    )
    return image_task(parent, made, label=label, notes=notes)


def attribute_names(data: str | Path) -> tuple[str, ...]:
    """The names of the attributes that a copy of CelebA lists.

    Raises:
        InputError: no attribute list.
    """  # noqa: DOC502
    return tuple(map(str, _attributes(open_archive(data))[0].columns))


def paper_shares(number: int) -> dict[str, float]:
    """The paper's fractions of ``number`` rows, or the least that measures a gap."""
    valid, test = (round(number * part / PAPER_ROWS) for part in (PAPER_VALID, PAPER_TEST))
    if number >= 2 * (LEAST_VALID + LEAST_TEST):
        valid, test = max(valid, LEAST_VALID), max(test, LEAST_TEST)
    valid, test = max(valid, 1), max(test, 1)
    return {
        "train": (number - valid - test) / number,
        "valid": valid / number,
        "test": test / number,
    }


def _attributes(archive: Archive) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The (N, 40) attributes by file name: the official text file, or a CSV of the same name."""
    listed = archive.find("list_attr_celeba.txt")
    if listed is None:
        table = archive.find("list_attr_celeba.csv")
        if table is None:
            raise InputError(
                f"{archive.path} has no list_attr_celeba.txt: give the folder or zip file of "
                "CelebA's official layout"
            )
        return pd.read_csv(io.BytesIO(archive.read(table)), index_col=0), ()
    lines = archive.read(listed).decode("utf-8-sig").splitlines()
    if len(lines) < 3:
        raise InputError(f"{listed} has {len(lines)} lines: it is cut short")
    header = lines[1].split()
    rows = [line.split() for line in lines[2:] if line.strip()]
    whole = [row for row in rows if len(row) == len(header) + 1]
    notes: tuple[str, ...] = ()
    if len(whole) < len(rows):
        notes = (f"{len(rows) - len(whole)} lines of {listed} are not whole: left out",)
    stated = int(lines[0]) if lines[0].strip().isdigit() else len(rows)
    if stated != len(rows):
        notes += (f"{listed} states {stated} images and lists {len(rows)}",)
    values = np.array([row[1:] for row in whole], dtype=np.int8)
    return pd.DataFrame(values, index=[row[0] for row in whole], columns=header), notes


def _images(archive: Archive) -> tuple[Archive, dict[str, str]]:
    """The archive that holds the images, and base name to name in it."""
    inner = archive.find("img_align_celeba.zip")
    if inner is not None and isinstance(archive, FolderArchive):
        archive = open_archive(archive.path / inner)
    endings = (".jpg", ".jpeg", ".png")
    return archive, {
        PurePosixPath(name).name: name for name in archive.sizes if name.lower().endswith(endings)
    }


def _partition(archive: Archive, names: Any) -> pd.Series[Any] | None:
    """Train, valid or test of each image by the official file; None where it is not there."""
    listed = archive.find("list_eval_partition.txt") or archive.find("list_eval_partition.csv")
    if listed is None:
        return None
    lines = archive.read(listed).decode("utf-8-sig").replace(",", " ").splitlines()
    pairs = [line.split() for line in lines if line.strip()]
    codes = {pair[0]: PARTS.get(int(pair[1])) for pair in pairs if pair[1:] and pair[1].isdigit()}
    parts = [codes.get(name) for name in names]
    unlisted = sum(part is None for part in parts)
    if unlisted:
        raise InputError(
            f"{listed} gives no part (0, 1 or 2) for {unlisted} images, such as "
            f"{next(n for n, p in zip(names, parts, strict=True) if p is None)}: "
            "give fractions with split="
        )
    if not {"train", "valid", "test"} <= set(parts):
        return None
    return pd.Series(parts)
