"""The files of one table, and the columns that their folders are named by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evenhand.tasks.table_file import TableFile


@dataclass(frozen=True, eq=False)
class Part:
    """One file.

    Attributes:
        table: it, opened.
        constants: columns that hold one value all through it, None where that is missing.
    """

    table: TableFile
    constants: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, those that its folders are named by last."""
        return (*self.table.columns, *(c for c in self.constants if c not in self.table.columns))


def described(parts: Sequence[Part]) -> dict[str, Any]:
    """What files they are, by name, size and sha256."""
    tables = [part.table for part in parts if part.table.size is not None]
    if not tables:
        return {}
    if len(tables) == 1:
        (one,) = tables
        return {"file": Path(one.label).name, "bytes": one.size, "sha256": one.digest}
    return {
        "files": len(tables),
        "bytes": sum(one.size or 0 for one in tables),
        "sha256": {one.label: one.digest for one in tables},
    }
