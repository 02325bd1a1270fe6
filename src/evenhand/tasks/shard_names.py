"""The files that a name of shards stands for: ``shards-{0000..0146}.tar``, ``train-*.tar``."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from evenhand._base.paths import path_of
from evenhand._base.text import visible
from evenhand.errors import InputError

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
"""Of tars; the packed ones are refused where they are opened, by what they are."""
MOST = 1_000_000
"""Shards that one name may stand for."""
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})", re.ASCII)
_REMOTE = re.compile(r"(^|/)(pipe|file|https?|ftp|s3|gs|az|hf|hdfs):", re.IGNORECASE)


def is_shards(data: Any) -> bool:
    """Whether ``data`` names tars: one, several, or a pattern of them."""
    if isinstance(data, list | tuple):
        return bool(data) and all(isinstance(one, str | Path) and is_shards(one) for one in data)
    return isinstance(data, str | Path) and str(data).lower().endswith(ENDINGS)


def shards_name(data: Any) -> str:
    """What the results call a task of these shards, where nobody says: their name's first words."""
    path = Path(data if isinstance(data, str | Path) else data[0])
    for name in (path.name, path.parent.name):
        words = re.match(r"[^\d.*?\[{]*", name)
        if words and words.group().strip("-_ "):
            return words.group().strip("-_ ")
    return "shards"


def shard_files(data: str | Path | Iterable[str | Path]) -> list[Path]:
    """The tars that ``data`` names, in order; each is there.

    Args:
        data: a path; one with ``{0000..0146}`` or ``{a,b}``; one with ``*``, ``?`` or ``[…]``,
            whose files come sorted; or several of these.

    Raises:
        InputError: a file is not there, none fits, one is named twice, or the name is an address
            or a command.
    """
    named = [data] if isinstance(data, str | Path) else list(data)
    found = [file for one in named for file in _files(one)]
    seen: dict[Path, Path] = {}
    for file in found:
        whole = file.resolve()
        if whole in seen:
            raise InputError(
                f"shard {file} is given twice, also as {seen[whole]}: its rows would count twice"
            )
        seen[whole] = file
    return found


def _files(name: str | Path) -> list[Path]:
    if _REMOTE.search(str(name)):
        raise InputError(
            f"{visible(str(name))[:80]!r} is an address or a command, which is not followed: copy "
            "the shards to a disk, and give their paths"
        )
    text = str(path_of(name, "the shards").expanduser())
    found: list[Path] = []
    for one in [text] if Path(text).is_file() else _expanded(text):
        if Path(one).is_file():
            found.append(Path(one))
        elif glob.has_magic(one):
            fitting = sorted(glob.glob(one, recursive=True))  # noqa: PTH207 - of any folder
            if not fitting:
                raise InputError(f"no file fits {visible(one)}")
            found += map(Path, fitting)
        else:
            what = "is a folder: give the tars in it" if Path(one).is_dir() else "is not there"
            raise InputError(f"shard {visible(one)} {what}")
    return found


def _expanded(text: str) -> list[str]:
    """The names that braces stand for, the last braces turning fastest."""
    plain, *pairs = _BRACES.split(text)
    choices = [_choices(inside) for inside in pairs[::2]]
    if prod(map(len, choices)) > MOST:
        raise InputError(f"{visible(text)} stands for more than {MOST:,} shards")
    return [
        plain + "".join(choice + after for choice, after in zip(chosen, pairs[1::2], strict=True))
        for chosen in product(*choices)
    ]


def _choices(inside: str) -> list[str]:
    between = _RANGE.fullmatch(inside)
    if between is None:
        return inside.split(",")
    first, last = between.groups()
    if not int(first) <= int(last) < int(first) + MOST:
        raise InputError(
            f"{{{inside[:40]}}} must count up, over {MOST:,} shards at most, as {{0000..0146}} does"
        )
    return [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
