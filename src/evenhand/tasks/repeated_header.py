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


def header_line(header: Sequence[str], mark: str) -> re.Pattern[bytes]:
    """Finds the end of a line, and one that repeats the header, in the bytes of a CSV in UTF-8."""
    around = '[ \\t"\ufeff]*'
    cells = [re.escape(cell).replace('"', '"+') for cell in header_cells(header)]
    between = f"{around}{re.escape(mark)}{around}"
    return re.compile(f"\n{around}{between.join(cells)}".encode())


def left_out(label: str, count: int) -> str:
    """What is said of ``count`` such lines."""
    return f"{label}: {plural(count, 'line')} with the header again left out"
