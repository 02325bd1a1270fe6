"""Where each file of a tar begins and how long it is: read once, by its headers alone."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from evenhand._base.text import visible
from evenhand.errors import InputError
from evenhand.tasks.archive import MAX_BYTES

PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""How gzip, bzip2, xz and Zstandard files begin."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar.

    Attributes:
        name: relative, with forward slashes.
        offset: where its content begins, in bytes from the start of the tar.
        size: bytes of its content.
    """

    name: str
    offset: int
    size: int


def members_of(path: Path) -> Iterator[Member]:
    """The files of a tar, in the order they lie in it; folders are passed over.

    Args:
        path: a tar that is not packed: what is packed cannot be read by position.

    Raises:
        InputError: it is no tar, is packed, cut short or damaged, or holds a link, a device, or a
            name that leads out of a folder.
    """
    try:
        with path.open("rb") as file:
            _require_plain(path, file.read(8))
            file.seek(0)
            tar: Any
            with tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as tar:
                while (found := tar.next()) is not None:
                    tar.members = []  # kept by tarfile for a second look, which nobody takes
                    if not found.isdir():
                        yield _member(found, path)
                end = tar.offset
            file.seek(end)
            _require_end(path, file.read(tarfile.BLOCKSIZE), end)
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise InputError(f"{path.name} is not a whole tar file: {error}") from error
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or error}") from error


def read_member(path: Path, offset: int, size: int) -> bytes:
    """The content of one file of a tar.

    Raises:
        InputError: it is too large, or the tar is not there any more, or shorter than it was.
    """
    if size > MAX_BYTES:
        raise InputError(
            f"a file in {path.name} has {size:,} bytes, more than the {MAX_BYTES:,} allowed"
        )
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            found = file.read(size)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or error}") from error
    if len(found) < size:
        raise InputError(
            f"{path.name} ends within what it held at byte {offset:,}: it was changed since its "
            "files were listed"
        )
    return found


def _member(found: tarfile.TarInfo, path: Path) -> Member:
    shown = f"{visible(found.name)!r} in {path.name}"
    if not found.isreg() or found.issparse():
        raise InputError(f"{shown} is no plain file but a link, a device or sparse: pack it anew")
    plain = found.name.replace("\\", "/").removeprefix("./")
    parts = PurePosixPath(plain).parts
    if not parts or ".." in parts or plain.startswith("/") or ":" in parts[0] or "\0" in plain:
        raise InputError(f"{shown} is not a plain relative path: pack it anew")
    return Member(plain, found.offset_data, found.size)


def _require_plain(path: Path, start: bytes) -> None:
    if start.startswith(PACKED):
        raise InputError(
            f"{path.name} is packed, so that nothing in it can be read by position: unpack it to a "
            "plain tar (gunzip)"
        )
    if not start:
        raise InputError(f"{path.name} is empty (0 bytes)")


def _require_end(path: Path, block: bytes, end: int) -> None:
    """A tar ends with blocks of zeros: one that was cut between two files has none."""
    if not block:
        raise InputError(
            f"{path.name} has no end: whatever wrote it was cut short after {end:,} bytes; write "
            "it again"
        )
    if block.strip(b"\0"):
        raise InputError(f"{path.name} is damaged at byte {end:,}: copy or write it again")
