"""Private files, written whole or not at all, and where the cache lives."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

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
    """``path`` as a folder that its owner alone can enter; made if missing."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds all of it or what it held before, owner-only."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
