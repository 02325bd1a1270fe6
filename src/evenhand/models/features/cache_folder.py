"""Where the cache lives, closed to other users."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

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


def private_folder(path: Path) -> Path:
    """``path`` as a folder that its owner alone can enter; made if missing.

    Raises:
        InputError: it cannot be made, or is not the user's.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
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
