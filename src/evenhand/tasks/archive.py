"""A folder or a zip file of data, read in place: nothing is unpacked to disk."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath

from evenhand._base.paths import path_of
from evenhand.errors import ArtefactError, InputError

MAX_MEMBERS = 2_000_000


MAX_BYTES = 512 * 1024**2
"""A member may unpack to this much: a list of a million files fits, a bomb does not."""


class Archive(ABC):
    """Files by name, relative and with forward slashes.

    Args:
        path: the folder or zip file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Name to bytes, of every file."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of one file.

        Raises:
            InputError: no such file, or it cannot be read.
        """

    @abstractmethod
    def stamp(self, name: str) -> str:
        """What changes when the file does: its checksum, or its size and time."""

    def find(self, basename: str) -> str | None:
        """The file of that name nearest the top, wherever it lies; None where there is none."""
        found = [name for name in self.sizes if PurePosixPath(name).name == basename]
        return min(found, key=lambda name: (name.count("/"), name)) if found else None

    def fingerprint(self, names: Iterable[str]) -> str:
        """sha256 of the files called ``names``, in that order, by their stamps."""
        digest = hashlib.sha256()
        for name in names:
            digest.update(f"{name}|{self.sizes[name]}|{self.stamp(name)}\n".encode())
        return digest.hexdigest()


class FolderArchive(Archive):
    """A folder; links that lead out of it are not followed."""

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Name to bytes, of every file."""
        found: dict[str, int] = {}
        for folder, _, files in os.walk(self.path):
            prefix = Path(folder).relative_to(self.path).as_posix()
            for file in files:
                name = file if prefix == "." else f"{prefix}/{file}"
                try:
                    about = os.stat(os.path.join(folder, file))  # noqa: PTH116, PTH118 - fast for many files
                except OSError:
                    continue
                if stat.S_ISREG(about.st_mode):  # a pipe or a device would never end
                    found[name] = about.st_size
        return dict(sorted(found.items()))

    def read(self, name: str) -> bytes:
        """The content of one file.

        Raises:
            InputError: it is no plain file, too large, or cannot be read.
        """
        path = self._inside(name)
        try:
            about = path.stat()
            if not stat.S_ISREG(about.st_mode):
                raise InputError(f"{name} is no plain file")
            if about.st_size > MAX_BYTES:
                raise InputError(
                    f"{name} has {about.st_size} bytes, more than the {MAX_BYTES} allowed"
                )
            return path.read_bytes()
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror or error}") from error

    def _inside(self, name: str) -> Path:
        path = self.path / _safe(name)
        if self.path.resolve() not in path.resolve().parents:
            raise InputError(f"{name} leads out of {self.path}")
        return path

    def stamp(self, name: str) -> str:
        """The time of the last change.

        Raises:
            InputError: the file is not there any more.
        """
        try:
            return str((self.path / name).stat().st_mtime_ns)
        except OSError as error:
            raise InputError(f"{name} is not there any more: {error.strerror or error}") from error


class ZipArchive(Archive):
    """A zip file, its members read at random.

    Raises:
        ArtefactError: it is not a zip file, is cut short, or holds more than 2,000,000 members.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        members = [member for member in self._zip.infolist() if not member.is_dir()]
        if len(members) > MAX_MEMBERS:
            raise ArtefactError(f"{path} holds {len(members)} files, more than {MAX_MEMBERS}")
        self._members = {m.filename: m for m in members if _is_safe(m.filename)}

    @property
    def _zip(self) -> zipfile.ZipFile:
        """The open file of this process: a forked one opens its own, for its own position."""
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                self._opened = os.getpid(), zipfile.ZipFile(self.path)
            except (zipfile.BadZipFile, OSError) as error:
                raise ArtefactError(f"{self.path} is not a whole zip file: {error}") from error
        return self._opened[1]

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Name to bytes, of every file."""
        return {name: self._members[name].file_size for name in sorted(self._members)}

    def read(self, name: str) -> bytes:
        """The content of one member.

        Raises:
            InputError: there is no such member, or it is too large, damaged or encrypted.
        """
        member = self._members.get(name)
        if member is None:
            raise InputError(f"{name} is not in {self.path.name}")
        if member.file_size > MAX_BYTES:
            raise InputError(
                f"{name} in {self.path.name} unpacks to {member.file_size} bytes, "
                f"more than the {MAX_BYTES} allowed"
            )
        try:
            with self._zip.open(member) as file:
                return file.read(MAX_BYTES)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError) as error:
            raise InputError(f"{name} in {self.path.name} cannot be read: {error}") from error
        except Exception as error:  # zlib.error and lzma.LZMAError have no common base
            if type(error).__module__ in ("zlib", "_lzma", "lzma"):
                raise InputError(f"{name} in {self.path.name} is damaged: {error}") from error
            raise

    def stamp(self, name: str) -> str:
        """The checksum of the content."""
        return f"{self._members[name].CRC:08x}"


def _is_safe(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return bool(parts) and ".." not in parts and not name.startswith("/") and ":" not in parts[0]


def _safe(name: str) -> str:
    if not _is_safe(name):
        raise InputError(f"file name {name!r} is not a plain relative path")
    return name


def open_archive(path: str | Path) -> Archive:
    """The folder or zip file at ``path``.

    Raises:
        InputError: nothing there, or neither of the two.
        ArtefactError: a damaged zip file.
    """  # noqa: DOC502
    path = path_of(path, "a folder or zip of images").expanduser()
    if path.is_dir():
        return FolderArchive(path)
    if not path.exists():
        raise InputError(f"no folder or zip file at {path}")
    if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        return ZipArchive(path)
    raise InputError(f"{path} is neither a folder nor a zip file")
