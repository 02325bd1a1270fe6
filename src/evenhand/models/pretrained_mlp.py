"""Pre-trained MLPs kept in the cache, each by what it was made from."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand._base.cache_folder import cache_root, not_own, private_folder
from evenhand._base.seals import unsealed
from evenhand.errors import EvenhandError, InputError

if TYPE_CHECKING:
    from evenhand.models.mlp import MLP

FOLDER = "mlp"
"""Where they lie in the cache."""


OWN = re.compile(r"config\.json|evenhand\.json|model\.safetensors")
"""The files of one."""


def kept(root: Path) -> list[Path]:
    """The folders of all that are kept under ``root``, by name; links are none of them."""
    top = root / FOLDER
    if top.is_symlink() or not top.is_dir():
        return []
    found = (f for f in top.iterdir() if re.fullmatch("[0-9a-f]{24}", f.name))
    return sorted(f for f in found if f.is_dir() and not f.is_symlink())


def cached_mlp(
    root: Path | None, made_from: dict[str, Any], make: Callable[[], MLP]
) -> tuple[MLP, tuple[str, ...]]:
    """The pre-trained MLP made from just this before, or a new one, then kept in the cache.

    One that is damaged, or was put in the place of another, is made again, and a note names it:
    nothing but time is lost. Where the cache cannot be written, or holds one of another user, that
    is noted, and the next run makes it again.

    Returns:
        The model, and what a reader should know.
    """  # noqa: DOC501 - caught at once
    from evenhand.models.saving import save

    text = json.dumps(made_from, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:24]
    folder = (root or cache_root()) / FOLDER / name
    found, notes = _found(folder, json.loads(text))
    if found is not None:
        return found, ()
    model = make()
    try:
        private_folder(folder.parent)
        if strange := not_own(folder):
            raise InputError(f"{folder}: {strange}")
        save(model, folder, about={"made_from": made_from})
    except InputError as error:
        notes = (*notes, f"the pre-trained network is not kept in the cache: {error}")
    return model, notes


def _found(folder: Path, made_from: dict[str, Any]) -> tuple[MLP | None, tuple[str, ...]]:
    """The MLP in ``folder`` if it is this user's and what it should be, and a note if it is not."""
    from evenhand.models.mlp import MLP
    from evenhand.models.saving import SEAL, load

    if not os.path.isfile(folder / SEAL):  # noqa: PTH113 - False where it may not be seen
        return None, ()
    if not_own(folder):
        return None, ()
    try:
        model = load(folder)
        was = unsealed((folder / SEAL).read_bytes()).get("made_from")
    except (EvenhandError, OSError, ValueError) as error:
        return None, (f"the pre-trained network in the cache is made again: {error}",)
    if was != made_from or not isinstance(model, MLP):
        return None, (f"the pre-trained network {folder} is of another run: it is made again",)
    return model, ()
