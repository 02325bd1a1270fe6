"""List and clear the cache: evenhand's own files, and no others."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from evenhand._base.cache_folder import cache_root
from evenhand._base.text import listed
from evenhand.errors import ArtefactError, InputError
from evenhand.models import pretrained_mlp
from evenhand.models.features.origin import NAME, Origin
from evenhand.models.features.store import LOCK, MANIFEST, OWN, Store


def entries(root: Path | None = None) -> list[Path]:
    """The folders of all cached features, by name.

    Also what is left of one whose clearing was cut short. Links, and folders of other programs,
    are none of them.
    """
    root = cache_root() if root is None else root
    return [] if not root.is_dir() else sorted(filter(_is_entry, root.iterdir()))


def networks(root: Path | None = None) -> list[Path]:
    """The folders of all kept pre-trained networks, by name."""
    return pretrained_mlp.kept(cache_root() if root is None else root)


def name_of(folder: Path) -> str:
    """What ``evenhand cache`` calls an entry: its folder, of a network ``mlp/`` and its folder."""
    network = folder.parent.name == pretrained_mlp.FOLDER
    return f"{pretrained_mlp.FOLDER}/{folder.name}" if network else folder.name


def _is_entry(folder: Path) -> bool:
    if not _is_folder(folder):
        return False
    if NAME.fullmatch(folder.name):
        return True
    try:
        Store.read(folder)
    except ArtefactError:
        return False
    return True


def clear(name: str, root: Path | None = None) -> int:
    """Delete one entry: its own files and then its folder, no link followed.

    One that is cut short (by a kill) is still an entry, and is cleared by the next call.

    Returns:
        The bytes freed.

    Raises:
        InputError: no such entry (the message names the nearest), or it holds files of somebody
            else: nothing is deleted then.
        ArtefactError: another process is writing it.
    """
    root = cache_root() if root is None else root
    folders = {name_of(folder): folder for folder in (*entries(root), *networks(root))}
    if name not in folders:
        near = difflib.get_close_matches(name, folders, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"nothing called {name!r} in the cache {root}{hint}")
    folder = folders[name]
    if folder.parent.name == pretrained_mlp.FOLDER:
        return _delete(folder, pretrained_mlp.OWN, name)
    try:
        with FileLock(folder / LOCK, timeout=0, mode=0o600):
            return _delete(folder, OWN, name, last=(LOCK,))
    except Timeout as error:
        raise ArtefactError(
            f"the cached features {name} are in use by another process: try again when it is done"
        ) from error


def _delete(folder: Path, own: re.Pattern[str], name: str, last: Iterable[str] = ()) -> int:
    files = sorted(folder.iterdir(), key=lambda file: (file.name in last, file.name != MANIFEST))
    others = [
        f.name for f in files if not own.fullmatch(f.name) or (f.is_dir() and not f.is_symlink())
    ]
    if others:
        raise InputError(
            f"{folder} holds {listed(others)}, which evenhand did not put there: nothing of {name} "
            "was deleted; move them, and clear it again"
        )
    size = sum(file.lstat().st_size for file in files)
    for file in files:
        file.unlink(missing_ok=True)
    with suppress(OSError):  # a run that waited for the lock has begun to fill it again
        folder.rmdir()
    return size


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def changed_since(root: Path, origin: Origin) -> list[str]:
    """Notes on entries that are not used because the model's or the inputs' content has changed.

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
            notes.append(
                f"the cached features {folder.name} (of {was.inputs} through {was.model}) were not "
                f"used: {what} changed"
            )
    return notes
