"""Whether two run folders hold the same numbers: every table and every saved weight."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evenhand._base.made_from import MADE_FROM
from evenhand._base.run_folder import LABELS
from evenhand._base.seals import unsealed
from evenhand.errors import ArtefactError

CLOSE = 1e-6
"""What another number of threads, or another processor, may change."""


TIMES = ("seconds",)
"""Columns that differ from run to run."""


@dataclass(frozen=True)
class Difference:
    """One number (or text) that is not the same.

    Attributes:
        where: file, row and column.
        was, now: in the first and in the second folder.
        close: they are numbers within 1e-6.
    """

    where: str
    was: str
    now: str
    close: bool

    def __str__(self) -> str:
        return f"{self.where}: was {self.was}, is {self.now}"


def differences(first: Path, second: Path) -> list[Difference]:
    """Every number of the tables and the model of ``first`` that ``second`` gives otherwise."""
    found: list[Difference] = []
    for name in _names(first, second, "*.csv", f"{LABELS}/*/*.csv"):
        found += _tables(name, _rows(first / name), _rows(second / name))
    models = "model/**/*.safetensors"
    for name in _names(first, second, models, f"{LABELS}/*/{models}"):
        found += _weights(name, first / name, second / name)
    return found


def changed_inputs(first: Path, second: Path) -> list[str]:
    """A sentence for everything the second run was made from that is not what the first was."""
    was, now = _origins(first), _origins(second)
    return [
        f"{name} changed: was {_short(was.get(name))}, is {_short(now.get(name))}"
        for name in dict.fromkeys((*was, *now))
        if was.get(name) != now.get(name)
    ]


def _names(first: Path, second: Path, *patterns: str) -> list[str]:
    found = {
        path.relative_to(top).as_posix()
        for top in (first, second)
        for pattern in patterns
        for path in top.glob(pattern)
    }
    return sorted(found)


def _rows(path: Path) -> list[dict[str, str]] | None:
    """The rows of a table without its times; None where there is no such file."""
    if not path.is_file():
        return None
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


def _tables(
    name: str, was: list[dict[str, str]] | None, now: list[dict[str, str]] | None
) -> Iterator[Difference]:
    if was is None or now is None:
        there, missing = ("there", "missing") if now is None else ("missing", "there")
        yield Difference(name, there, missing, close=False)
        return
    if len(was) != len(now):
        yield Difference(name, f"{len(was)} rows", f"{len(now)} rows", close=False)
        return
    for line, (old, new) in enumerate(zip(was, now, strict=True), start=2):
        for column in dict.fromkeys((*old, *new)):
            one, other = str(old.get(column)), str(new.get(column))
            if one != other:
                where = f"{name}, line {line} ({_row_name(old)}), {column}"
                yield Difference(where, one, other, _close(one, other))


def _row_name(row: dict[str, str]) -> str:
    keys = (
        "label",
        "source",
        "method",
        "setting",
        "seed",
        "claim",
        "comparison",
        "attribute",
        "group",
    )
    return ", ".join(row[key] for key in keys if row.get(key))


def _close(one: str, other: str) -> bool:
    try:
        a, b = float(one), float(other)
    except ValueError:
        return False
    return abs(a - b) <= CLOSE * max(1.0, abs(a))


def _weights(name: str, first: Path, second: Path) -> Iterator[Difference]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (first.is_file() and second.is_file()):
        yield Difference(name, str(first.is_file()), str(second.is_file()), close=False)
        return
    if first.read_bytes() == second.read_bytes():
        return
    try:
        was, now = load_file(first), load_file(second)
    except (SafetensorError, OSError) as error:
        raise ArtefactError(f"{name} cannot be read: {error}") from error
    for tensor in sorted(was.keys() | now.keys()):
        one, other = was.get(tensor), now.get(tensor)
        if one is None or other is None or one.shape != other.shape:
            shape, new = ("missing" if t is None else str(tuple(t.shape)) for t in (one, other))
            yield Difference(f"{name}, {tensor}", shape, new, close=False)
            continue
        gap = float((one.double() - other.double()).abs().max()) if one.numel() else 0.0
        if gap != 0:
            scale = max(1.0, float(one.double().abs().max()))
            where = f"{name}, {tensor}"
            yield Difference(where, "as saved", f"{gap:.2g} away", gap <= CLOSE * scale)


def _origins(folder: Path) -> dict[str, str]:
    """What a run says it was made from: versions, and the hashes of its inputs."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob(f"cells/**/{MADE_FROM}")):
        prefix = path.parent.relative_to(folder / "cells").as_posix()
        try:
            document = unsealed(path.read_bytes())
        except ValueError as error:
            raise ArtefactError(f"{path} is damaged: {error}") from error
        for key in ("data", "weights", "model", "evenhand"):
            if key in document:
                found[f"{key}" if prefix == "." else f"{key} of {prefix}"] = str(document[key])
    made = _provenance(folder)
    for key, value in made.get("fingerprints", {}).items():
        found[f"the {key}'s content"] = str(value)
    if "sha256" in made:
        found["the file's content"] = str(made["sha256"])
    for key, value in made.get("versions", {}).items():
        found[f"the version of {key}"] = str(value)
    return found


def _provenance(folder: Path) -> dict[str, Any]:
    result, config = folder / "result.json", folder / "config.yaml"
    try:
        if result.is_file():
            made = json.loads(result.read_text(encoding="utf-8"))["provenance"]
        else:
            made = yaml.safe_load(config.read_text(encoding="utf-8"))
        return made if isinstance(made, dict) else {}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ArtefactError(f"{folder} does not say what its run was made from: {error}") from error


def _short(value: str | None) -> str:
    if value is None:
        return "not told"
    return f"{value[:12]}…" if len(value) == 64 else value
