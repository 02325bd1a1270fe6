"""What is in the cache, and clearing it."""

from __future__ import annotations

import difflib
import shutil
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from evenhand.errors import ArtefactError, InputError
from evenhand.models.features.cache_folder import cache_root
from evenhand.models.features.store import LOCK, MANIFEST, Origin, Store


def entries(root: Path | None = None) -> list[Path]:
    """The folders of all cached features, by name."""
    root = cache_root() if root is None else root
    if not root.is_dir():
        return []
    return sorted(folder for folder in root.iterdir() if (folder / MANIFEST).is_file())


def clear(name: str, root: Path | None = None) -> int:
    """Delete one entry.

    Returns:
        The bytes freed.

    Raises:
        InputError: no such entry; the message names the nearest.
        ArtefactError: another process is writing it.
    """
    root = cache_root() if root is None else root
    folders = {folder.name: folder for folder in entries(root)}
    if name not in folders:
        near = difflib.get_close_matches(name, folders, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"no cached features {name!r} in {root}{hint}")
    folder = folders[name]
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    try:
        with FileLock(folder / LOCK, timeout=0, mode=0o600):
            for file in folder.iterdir():
                if file.name != LOCK:
                    file.unlink()
    except Timeout as error:
        raise ArtefactError(
            f"the cached features {name} are in use by another process: try again when it is done"
        ) from error
    shutil.rmtree(folder, ignore_errors=True)
    return size


def changed_since(root: Path, origin: Origin) -> list[str]:
    """Notes on entries that would have served, had not the model's or the inputs' content changed.

    Entries of other settings (size, precision, number of rows) are another matter, and not noted.
    """
    if (root / origin.name / MANIFEST).exists():
        return []
    notes = []
    for folder in entries(root):
        try:
            was = Store.read(folder).origin
        except ArtefactError:
            continue
        changed = {
            "the model": was.model_fingerprint != origin.model_fingerprint,
            "the inputs": was.inputs_fingerprint != origin.inputs_fingerprint,
        }
        served = replace(
            was,
            model_fingerprint=origin.model_fingerprint,
            inputs_fingerprint=origin.inputs_fingerprint,
        )
        if served == origin:
            what = " and ".join(name for name, different in changed.items() if different)
            notes.append(f"the cached features {folder.name} were not used: {what} changed")
    return notes
