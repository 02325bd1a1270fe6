"""Documents and arrays that carry their own hash, so that one flipped byte is found and named."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand._base.files import write_atomically
from evenhand.errors import ArtefactError, InputError

if TYPE_CHECKING:
    import numpy.typing as npt


SEAL = "seal"
"""The key of the hash, in JSON and in the notes of a safetensors file."""


SUMS = "SHA256SUMS"


def sealed(document: Mapping[str, Any], *, indent: int | None = None) -> str:
    """``document`` as JSON with the sha256 of all the rest of it under ``seal``."""
    body = json.loads(json.dumps({k: v for k, v in document.items() if k != SEAL}))
    return json.dumps({**body, SEAL: _digest(body)}, indent=indent)


def unsealed(text: str | bytes) -> dict[str, Any]:
    """The document that :func:`sealed` was given.

    Raises:
        ValueError: it is not JSON, or not what was sealed.
    """
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("it holds no names with values")
    body = {k: v for k, v in document.items() if k != SEAL}
    stated, found = document.get(SEAL), _digest(body)
    if stated is None:
        raise ValueError("it has no seal")
    if stated != found:
        raise ValueError(f"sha256 {found[:12]}…, sealed as {str(stated)[:12]}…")
    return body


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def seal_arrays(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], notes: Mapping[str, str]
) -> None:
    """Write arrays with notes to a safetensors file that carries the hash of both."""
    import numpy as np
    from safetensors.numpy import save

    whole = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    write_atomically(path, save(whole, {**notes, SEAL: _array_digest(whole, notes)}))


def read_arrays(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """The arrays and notes that :func:`seal_arrays` wrote.

    Raises:
        ArtefactError: the file is missing, or not what was sealed.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            notes = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ArtefactError(f"{path} is damaged: {error}; delete it and run again") from error
    if notes.pop(SEAL, None) != _array_digest(arrays, notes):
        raise ArtefactError(
            f"{path} is damaged: its content is not what was sealed; delete it and run again"
        )
    return arrays, notes


def _array_digest(arrays: Mapping[str, npt.NDArray[Any]], notes: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(dict(notes), sort_keys=True).encode())
    for name in sorted(arrays):
        value = arrays[name]
        digest.update(f"|{name} {value.dtype} {value.shape}|".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(path: Path) -> str:
    """sha256 of what a user gave: a file's content; of a folder, names, sizes and times.

    Raises:
        InputError: it is not there any more, or cannot be read.
    """
    try:
        if path.is_file():
            return file_digest(path)
        os.scandir(path).close()  # an OSError where it is no folder
        digest = hashlib.sha256()
        for file in sorted(path.rglob("*")):
            about = file.stat()
            name = file.relative_to(path).as_posix()
            digest.update(f"{name}|{about.st_size}|{about.st_mtime_ns}\n".encode())
        return digest.hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def write_sums(folder: Path, names: list[str]) -> None:
    """Write the sha256 of the files called ``names``, last of all, as ``sha256sum -c`` reads it.

    A comment at the top says how many they are, so that no line is lost unseen.
    """
    lines = [f"{file_digest(folder / name)}  {name}\n" for name in sorted(names)]
    write_atomically(folder / SUMS, "".join([_count(len(lines)), *lines]))


def _count(number: int) -> str:
    return f"# {number} files\n"


def names_in_sums(folder: Path) -> list[str]:
    """The files of a run, as its sums name them; none where there are no sums."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    return [line.partition("  ")[2] for line in lines if not line.startswith("#")]


def check_sums(folder: Path) -> list[str]:
    """A sentence for every file of a run that is not as it was written; none where all are.

    A folder without the sums is of a run that was cut short before its end.
    """
    try:
        text = (folder / SUMS).read_text(encoding="utf-8")
        count, *lines = text.splitlines(keepends=True) or [""]
    except OSError:
        return [f"{folder} has no {SUMS}: the run was not finished"]
    except ValueError:
        count, lines = "", []
    named = len({line.partition("  ")[2] for line in lines})  # one twice may stand for another
    whole = (
        bool(lines) and lines[-1].endswith("\n") and count == _count(named) == _count(len(lines))
    )
    if not whole:
        return [
            f"{folder / SUMS} was emptied, cut or is damaged: it does not name as many files as it "
            "says, so that no file of the run can be told to be as it was written"
        ]
    wrong = []
    for line in lines:
        stated, _, name = line.rstrip("\n").partition("  ")
        path = folder / name
        if not name or not path.is_file():
            wrong.append(f"{path} is missing")
        elif (found := file_digest(path)) != stated:
            wrong.append(
                f"{path} was changed, is damaged or is of another run "
                f"(sha256 {found[:12]}…, written as {stated[:12]}…)"
            )
    return wrong
