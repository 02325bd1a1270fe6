"""A folder of kept results belongs to what they were made from; another is refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evenhand._base.files import write_atomically
from evenhand._base.seals import file_digest, sealed, unsealed
from evenhand.errors import ArtefactError, InputError

MADE_FROM = "made-from.json"


def claim(folder: Path, made_from: Mapping[str, Any]) -> None:
    """Keep ``folder`` to results of one evenhand made from just this.

    Results of two versions, or of data that changed, do not belong in one table: the folder is
    refused, and nothing in it is touched.

    Raises:
        InputError: its results were made from something else; each difference is named.
        ArtefactError: what says so is damaged.
    """
    now = json.loads(json.dumps({"evenhand": version("evenhand"), **made_from}, default=str))
    path = folder / MADE_FROM
    if not path.is_file():
        if any(folder.glob("seed*")):
            raise InputError(
                f"{folder} holds results of an older evenhand, which do not say what they were "
                f"made from; give another --output, or remove {folder}"
            )
        write_atomically(path, sealed(now, indent=1) + "\n")
        return
    try:
        was = unsealed(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{path} is damaged, or of an older evenhand ({error}): remove {folder} and run again"
        ) from error
    changed = [
        f"{name} was {_short(was.get(name))}, is {_short(now.get(name))}"
        for name in dict.fromkeys((*was, *now))
        if was.get(name) != now.get(name)
    ]
    if changed:
        raise InputError(
            f"{folder} holds results made from something else: {'; '.join(changed)}; give another "
            f"--output, or remove {folder}"
        )


def mark(folder: Path) -> str | None:
    """What tells the results of one claim from those of any other; None without a claim.

    Kept in every result, it shows one that was put there from another folder.
    """
    path = folder / MADE_FROM
    return file_digest(path) if path.is_file() else None


def _short(value: Any) -> str:
    if value is None:
        return "not given"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text[:12]}…" if len(text) > 60 else text
