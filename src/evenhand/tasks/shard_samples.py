"""Samples of a shard: the files of a tar that share a name up to its first dot, as WebDataset has.

``000123.jpg``, ``000123.json`` and ``000123.cls`` are one sample. Labels are read at once; of an
image only its place is kept.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from evenhand._base.text import listed, visible
from evenhand.errors import InputError
from evenhand.tasks.image_folders import IMAGES
from evenhand.tasks.split import part_in
from evenhand.tasks.tar_members import Member, members_of

IMAGE, KEY, SHARD, PART = "__image__", "__key__", "__shard__", "__split__"
"""Columns of every sample: its image, where it has one; its key; the shard it lies in; and the part
of the split that the shard's name tells, where it tells one."""
READ = ("json", "cls", "txt")
"""Endings of what is read as columns."""
LARGEST = 16 * 1024**2
"""Bytes of a label or text at most: an article has some thousand."""
_NAME = re.compile(r"((?:.*/|)[^.]+)\.([^/]*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample: what is in its columns, and where its images lie.

    Attributes:
        values: plain values by column.
        images: ending (``"jpg"``, ``"left.png"``) to its place.
        read: the endings that made ``values``.
    """

    values: dict[str, Any]
    images: dict[str, Member]
    read: frozenset[str]


def samples_of(path: Path, passed: Counter[str]) -> Iterator[Sample]:
    """The samples of a shard, in the order in which they begin.

    Args:
        path: the tar.
        passed: counts the endings of files that are not read; added to.

    Raises:
        InputError: the tar is damaged, a file is there twice, or a label cannot be read.
    """
    files: dict[str, dict[str, Member]] = {}
    for member in members_of(path):
        found = _NAME.fullmatch(member.name)
        if found is None:
            passed["no ending"] += 1
            continue
        key, ending = found.group(1), found.group(2).lower()
        last = ending.rpartition(".")[2]
        if last not in READ and f".{last}" not in IMAGES:
            passed[f".{last}"] += 1
            continue
        sample = files.setdefault(key, {})
        if ending in sample:
            raise InputError(
                f"{path.name} holds {visible(f'{key}.{ending}')!r} twice: "
                "which of the two is meant? Give every sample a key of its own"
            )
        sample[ending] = member
    part = part_in(path)
    with path.open("rb") as file:
        for key, parts in files.items():
            yield _sample(file, path, key, parts, part)


def _sample(
    file: BinaryIO, path: Path, key: str, parts: Mapping[str, Member], part: str | None
) -> Sample:
    values: dict[str, Any] = {KEY: key, SHARD: path.name, PART: part}
    images: dict[str, Member] = {}
    for ending, member in parts.items():
        kind = ending.rpartition(".")[2]
        if kind not in READ:
            images[ending] = member
            continue
        told = f"{visible(member.name)!r} in {path.name}"
        for name, value in _values(_text(file, member, told), ending, told).items():
            if name in values:
                raise InputError(
                    f"{told} has a value {visible(name)!r}, which the sample has from elsewhere: "
                    "give one of the two another name"
                )
            values[name] = value
    return Sample(values, images, frozenset(ending for ending in parts if ending not in images))


def _text(file: BinaryIO, member: Member, told: str) -> str:
    if member.size > LARGEST:
        raise InputError(f"{told} has {member.size:,} bytes, more than the {LARGEST:,} of a label")
    file.seek(member.offset)
    try:
        return file.read(member.size).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{told} is not UTF-8 text") from error


def _values(text: str, ending: str, told: str) -> dict[str, Any]:
    """Column to value; of ``x.json`` the columns are ``x.name``."""
    if not ending.endswith("json"):
        return {ending: text.strip()}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{told} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f'{told} must be an object of names and values, as {{"label": 1}}')
    before = ending.removesuffix("json")
    return {f"{before}{name}": value for name, value in document.items()}


def require_alike(sample: Sample, first: Sample) -> None:
    """Refuse a sample without the files that the first one has, or with more.

    One image of any format is as good as one of another.

    Raises:
        InputError: it has other files.
    """
    lone = len(first.images) == len(sample.images) == 1
    have = sample.read | (frozenset() if lone else frozenset(sample.images))
    want = first.read | (frozenset() if lone else frozenset(first.images))
    if have == want:
        return
    lacking, other = (sample, want - have) if want - have else (first, have - want)
    raise InputError(
        f"sample {visible(lacking.values[KEY])!r} in {lacking.values[SHARD]} has no "
        f"{listed(sorted('.' + ending for ending in other))}, which others have: every "
        "sample needs the same files"
    )
