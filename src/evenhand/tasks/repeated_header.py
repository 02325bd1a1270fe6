"""Lines of a table that repeat its header, as files glued together have them, are no rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.text import plural


def header_cells(header: Sequence[str]) -> list[str]:
    """What a line that repeats the header holds: nothing where a column has no name."""
    return ["" if name == f"Unnamed: {at}" else name for at, name in enumerate(header)]


def repeats(batch: Any, cells: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(n,) True where a batch of texts holds just the names of its columns.

    Args:
        batch: of Arrow.
        cells: of its columns; see :func:`header_cells`.
    """
    from pyarrow import compute

    found = np.ones(batch.num_rows, dtype=bool)
    for column, cell in zip(batch.columns, cells, strict=True):
        if not found.any():
            break
        trimmed = compute.utf8_trim(column, " \t\r\n\ufeff")
        found &= compute.equal(trimmed, cell).fill_null(False).to_numpy(zero_copy_only=False)
    return found


class HeaderLook:
    """Whether the bytes of a CSV in UTF-8 may hold its header again, told while they are read.

    A line that reads as the header is a row or the header; other bytes need no look as rows, which
    takes as long as parsing them.

    Args:
        header: the names of the columns.
        mark: between fields.
        lead: lines before the header.

    Attributes:
        seen: there may be such a line in what was read so far.
    """

    def __init__(self, header: Sequence[str], mark: str, lead: int) -> None:
        cells = header_cells(header)
        self._lead, self._begun, self._before, self.seen = lead, False, b"", False
        self._line = _line_of(cells, mark)
        words = (word for cell in cells for word in cell.split('"'))
        self._word = max(words, key=len).encode()  # is looked for far quicker than a whole line
        self._letters = [bytes([letter]) for letter in set(self._word)]  # and each of these so

    def at(self, part: bytes) -> None:
        """Look at what comes next."""
        if self.seen:
            return
        if not self._begun:
            *lead, part = part.split(b"\n", self._lead)
            self._begun, self.seen = True, len(lead) < self._lead
        seam = self._before + part[: len(self._word)]
        if self._word in seam or (
            all(letter in part for letter in self._letters) and self._word in part
        ):
            self.seen |= self._line.search(self._before + part) is not None
        self._before = (self._before + part)[-OVERLAP:] if len(part) < OVERLAP else part[-OVERLAP:]


OVERLAP = 1 << 16
"""Bytes of a part that are looked at again with the next: no header is longer."""


def _line_of(cells: Sequence[str], mark: str) -> re.Pattern[bytes]:
    """Finds the end of a line, and cells in one after it."""
    around = '[ \\t\r\n"\ufeff]*'
    words = [re.escape(cell).replace('"', '"+') for cell in cells]
    between = f"{around}{re.escape(mark)}{around}"
    return re.compile(f"[\r\n]{around}{between.join(words)}".encode())


def left_out(label: str, count: int) -> str:
    """What is said of ``count`` such lines."""
    return f"{label}: {plural(count, 'line')} with the header again left out"
