"""The log of a watch: one line a look, appended, each sealed together with the one before it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evenhand._base.seals import SEAL, sealed, unsealed
from evenhand.errors import ArtefactError, InputError

NAME = "watch.jsonl"
BEFORE = "before"
"""The key of the seal of the line before."""


@contextmanager
def opened(path: Path) -> Iterator[Log]:
    """The log, held for one process at a time.

    Raises:
        InputError: another process holds it.
        ArtefactError: a line was changed, taken out or cut.
    """  # noqa: DOC502
    from filelock import FileLock, Timeout

    try:
        with FileLock(f"{path}.lock", timeout=60):
            yield Log(path)
    except Timeout as error:
        raise InputError(f"{path} is held by another process") from error


class Log:
    """The looks so far.

    Attributes:
        path: of the file.
        looks: what was appended, in order.
        cut: the last line was not written to its end, and is written over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = path.read_bytes() if path.exists() else b""
        whole, self.cut = content, False
        if content and not content.endswith(b"\n"):
            whole, self.cut = content[: content.rfind(b"\n") + 1], True
        self._end = len(whole)
        self.looks: list[dict[str, Any]] = []
        self._seal = ""
        for at, line in enumerate(whole.splitlines(), 1):
            try:
                look = unsealed(line)
            except ValueError as error:
                raise ArtefactError(f"{path}, line {at} was changed: {error}") from error
            if look.pop(BEFORE, None) != self._seal:
                raise ArtefactError(f"{path}, line {at}: a line before it was changed or taken out")
            self._seal = json.loads(line)[SEAL]
            self.looks.append(look)

    def append(self, look: Mapping[str, Any]) -> None:
        """Add a look; it is on the disk when this returns, or not in the log at all."""
        line = sealed({**look, BEFORE: self._seal}).encode() + b"\n"
        flags = os.O_WRONLY | os.O_CREAT
        with os.fdopen(os.open(self.path, flags, 0o600), "wb") as file:
            file.seek(self._end)
            file.write(line)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        self._end += len(line)
        self._seal = json.loads(line)[SEAL]
        self.looks.append(dict(look))
