"""Files a run leaves behind: written whole or not at all, readable by their owner only."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from evenhand._base.paths import path_of
from evenhand.errors import InputError

LOCK = ".lock"


PART = ".part"
"""The ending of what is being written; a killed writer leaves it behind."""


ABANDONED = 3600.0
"""Seconds after which such a leftover is nobody's, and is cleared."""


FULL = (errno.ENOSPC, errno.EDQUOT)


def write_atomically(path: str | Path, content: bytes | str) -> Path:
    """Write ``content`` to ``path`` through a temporary file beside it, then rename.

    A reader sees the old file or the new one, never half of it, whenever the writer or the machine
    dies. The file's mode is 0600; missing parent folders are made, with mode 0700.

    Returns:
        The path written.

    Raises:
        InputError: the folder cannot be made or written, the disk is full, or the path is a folder.
    """
    path = path_of(path, "the file to write")
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; give a file name")
    data = content.encode("utf-8") if isinstance(content, str) else content
    with _named(f"cannot write {path}"), ExitStack() as stack:
        make_private(path.parent)
        clear_abandoned(path)
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=PART, dir=path.parent)
        temporary = Path(name)
        stack.callback(temporary.unlink, missing_ok=True)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        stack.pop_all()
        _sync_folder(path.parent)
    return path


@contextmanager
def replaced_file(path: str | Path) -> Iterator[Path]:
    """A temporary file to write at length, which takes the place of ``path`` when all went well.

    Raises:
        InputError: it cannot be written, the disk is full, or the path is a folder.
    """
    path = path_of(path, "the file to write")
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; give a file name")
    with _named(f"cannot write {path}"), ExitStack() as stack:
        make_private(path.parent)
        clear_abandoned(path)
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=PART, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        stack.callback(temporary.unlink, missing_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        stack.pop_all()
        _sync_folder(path.parent)


@contextmanager
def replaced_folder(path: str | Path, *, dropped: Collection[str] = ()) -> Iterator[Path]:
    """A new folder to fill, which takes the place of ``path`` whole when the block ends well.

    Files of the old folder that the new one does not have are carried over. Where the system can
    exchange two folders at once (Linux, macOS), a reader sees the old one or the new one.

    Args:
        path: of the folder.
        dropped: names in the old folder that are not carried over.

    Raises:
        InputError: it cannot be written, or ``path`` is a file.
    """
    path = path_of(path, "the folder to write")
    if path.exists() and not path.is_dir():
        raise InputError(f"cannot write the folder {path}: it is a file; give another name")
    with _named(f"cannot write {path}"):
        make_private(path.parent)
        clear_abandoned(path)
        new = Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=PART, dir=path.parent))
        try:
            yield new
            for kept in sorted(path.iterdir()) if path.exists() else ():
                if kept.name not in dropped and not (new / kept.name).exists():
                    _carry_over(kept, new / kept.name)
            for file in new.rglob("*"):
                if file.is_file() and not file.is_symlink():
                    file.chmod(0o600)
                    with file.open("rb") as opened:
                        os.fsync(opened.fileno())
            _put_in_place(new, path)
            _sync_folder(path.parent)
        finally:
            shutil.rmtree(new, ignore_errors=True)


@contextmanager
def held(folder: str | Path) -> Iterator[None]:
    """Lock ``folder`` for this process while the block runs.

    The lock is the operating system's on an open file: it is gone when its holder is, even killed.
    A block in a block, in one thread, is one.

    Raises:
        InputError: another process is writing there, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    folder = writable_folder(folder)
    lock = FileLock(folder.resolve() / LOCK, timeout=0, mode=0o600, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"another evenhand is writing to {folder}: wait until it is done, or give another "
            "output folder"
        ) from error
    except NotImplementedError:  # a file system without locks: each file is still whole
        yield
        return
    try:
        yield
    finally:
        lock.release()


def writable_folder(path: str | Path) -> Path:
    """Make ``path`` if it is not there and find out, before any work, that it can be written.

    Raises:
        InputError: it is a file, or cannot be made or written.
    """
    path = Path(path)
    try:
        make_private(path)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to {path}: {error.strerror or error}; give another output folder"
        ) from error
    return path


def make_private(folder: Path) -> None:
    """Make ``folder`` and the missing ones above it, closed to other users.

    Raises:
        NotADirectoryError: a file of that name is there.
    """
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def clear_abandoned(path: Path) -> None:
    """Clear what killed writers of ``path`` left beside it."""
    now = time.time()
    for left in path.parent.glob(f"{_escaped(_prefix(path))}*{PART}"):
        with suppress(OSError):
            if now - left.stat().st_mtime < ABANDONED:
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()


def _prefix(path: Path) -> str:
    return f".{path.name[:40]}."


def _escaped(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """The operating system's errors as one sentence that begins with ``what``."""
    try:
        yield
    except OSError as error:
        todo = "give a folder that can be written to"
        if error.errno in FULL:
            todo = "free some space and run the same command again; what was finished is kept"
        raise InputError(f"{what}: {error.strerror or error}; {todo}") from error


def _sync_folder(folder: Path) -> None:
    """Put a rename on the disk, where the system lets a folder be synced."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _carry_over(old: Path, new: Path) -> None:
    if old.is_dir() and not old.is_symlink():
        shutil.copytree(old, new, symlinks=True)
    else:
        shutil.copy2(old, new, follow_symlinks=False)


def _put_in_place(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
    elif not _exchange(new, path):
        aside = new.with_name(f"{new.name.removesuffix(PART)}.old{PART}")
        path.rename(aside)
        new.rename(path)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False where the system cannot."""
    exchange = 2
    here = -100  # AT_FDCWD
    try:
        system = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(one), os.fsencode(other)
        if sys.platform == "darwin":
            return bool(system.renamex_np(*names, exchange) == 0)
        return bool(system.renameat2(here, names[0], here, names[1], exchange) == 0)
    except (AttributeError, OSError, TypeError):
        return False
