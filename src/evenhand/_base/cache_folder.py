"""Where the cache lives, closed to other users."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from evenhand._base.files import make_private
from evenhand.errors import InputError

ENVIRONMENT = "EVENHAND_CACHE"


def cache_root() -> Path:
    """The folder of all cached features: ``$EVENHAND_CACHE``, or the platform's cache folder."""
    chosen = os.environ.get(ENVIRONMENT)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "evenhand" / "features"


def not_own(path: Path) -> str | None:
    """Why what is kept at ``path`` is not to be believed: another user may have put it there.

    None where there is nothing yet, where it is this user's, and where the system has no users.
    """
    if not hasattr(os, "getuid"):
        return None
    try:
        link, about = path.lstat(), path.stat()
        if {link.st_uid, about.st_uid} != {os.getuid()}:
            return "it belongs to another user"
        if about.st_mode & 0o022 and any(path.iterdir()):
            return "other users can write to it"
    except OSError:
        return None
    return None


def private_folder(path: Path) -> Path:
    """``path`` as a folder that its owner alone can enter; made if missing.

    Raises:
        InputError: it cannot be made, or is not the user's.
    """
    strange = not_own(path)
    if strange:
        raise InputError(
            f"cannot use the cache folder {path}: {strange}; set {ENVIRONMENT} to a folder of yours"
        )
    try:
        make_private(path)
        path.chmod(0o700)
    except OSError as error:
        raise InputError(
            f"cannot use the cache folder {path}: {error.strerror or error}; "
            f"set {ENVIRONMENT} to a folder of yours"
        ) from error
    return path


def unwritable(folder: Path) -> str | None:
    """Why nothing can be kept in ``folder``; None where it can, and then it is there."""
    try:
        private_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"cannot write to the cache folder {folder}: {error.strerror or error}"
