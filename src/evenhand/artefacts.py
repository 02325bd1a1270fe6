"""Files a run leaves behind: written whole or not at all, readable by their owner only."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from evenhand.errors import InputError


def write_atomically(path: str | Path, content: bytes | str) -> Path:
    """Write ``content`` to ``path`` through a temporary file beside it, then rename.

    A reader sees the old file or the new one, never half of it. The file's mode is 0600; missing
    parent folders are made.

    Returns:
        The path written.

    Raises:
        InputError: the folder cannot be made or written, or the path is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; give a file name")
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; give a folder that can be written to"
        ) from error
    return path


def writable_folder(path: str | Path) -> Path:
    """Make ``path`` if it is not there and find out, before any work, that it can be written.

    Raises:
        InputError: it is a file, or cannot be made or written.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to {path}: {error.strerror or error}; give another output folder"
        ) from error
    return path
