"""The files of one table, and the columns that their folders are named by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from evenhand._base.text import visible
from evenhand.errors import InputError
from evenhand.tasks.open_table import open_table
from evenhand.tasks.table_file import TableFile

NOTHING = "__HIVE_DEFAULT_PARTITION__"
"""How a folder is called whose rows have no value."""


@dataclass(frozen=True, eq=False)
class Part:
    """One file.

    Attributes:
        table: it, opened.
        constants: columns that hold one value all through it, None where that is missing.
        database: what it is of, where it is no file but a table of a database.
    """

    table: TableFile
    constants: Mapping[str, str | None] = field(default_factory=dict)
    database: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, those that its folders are named by last."""
        return (*self.table.columns, *(c for c in self.constants if c not in self.table.columns))


def files(source: Any, delimiter: str | None, encoding: str | None) -> list[Part]:
    """What a user names: a file, a folder or a pattern of files, or a table in memory.

    A folder is one table, all files in it and below; where its folders are called ``name=value``,
    those are columns. Names that begin with a dot or an underscore are left out.

    Raises:
        InputError: no file is there, or a file has no table.
    """
    paths = _paths(source) if isinstance(source, str | Path) else None
    if paths is None:
        name = visible(source) if isinstance(source, str | Path) else None
        return [Part(open_table(source, label=name, delimiter=delimiter, encoding=encoding))]
    root, found = paths
    if not found:
        raise InputError(f"no file at {visible(source)}")
    return [
        Part(
            open_table(
                path,
                label=visible(path.relative_to(root)),
                delimiter=delimiter,
                encoding=encoding,
            ),
            _constants(path.relative_to(root).parts[:-1]),
        )
        for path in found
    ]


def _paths(source: str | Path) -> tuple[Path, list[Path]] | None:
    """The folder that a source of many files begins at, and the files; None for any other."""
    try:
        path = Path(source)
        if path.is_dir():
            below = sorted(each for each in path.rglob("*") if each.is_file())
            return path, [each for each in below if not _hidden(each.relative_to(path).parts)]
        if path.exists() or not set("*?[") & set(str(source)):
            return None
        first = next(at for at, part in enumerate(path.parts) if set("*?[") & set(part))
        root = Path(*path.parts[:first])
        matching = root.glob(str(Path(*path.parts[first:])))
        return root, sorted(each for each in matching if each.is_file())
    except (OSError, ValueError):
        return None


def _hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith((".", "_")) for part in parts)


def _constants(folders: Sequence[str]) -> dict[str, str | None]:
    named = [unquote(folder).partition("=") for folder in folders if "=" in folder]
    return {name: None if value == NOTHING else value for name, _, value in named}


def described_meanwhile(parts: Sequence[Part]) -> Callable[[], dict[str, Any]]:
    """Asks for :func:`described`; the sums are made in a thread from now on."""
    hashing = ThreadPoolExecutor(1)
    digests = [hashing.submit(getattr, part.table, "digest") for part in parts]
    hashing.shutdown(wait=False)

    def told() -> dict[str, Any]:
        for digest in digests:
            digest.result()
        return described(parts)

    return told


def described(parts: Sequence[Part]) -> dict[str, Any]:
    """What files they are, by name, size and sha256, and of which databases."""
    tables = [part.table for part in parts if part.table.size is not None]
    names = list(dict.fromkeys(part.database for part in parts if part.database))
    databases = {"database": ", ".join(names)} if names else {}
    if not tables:
        return databases
    if len(tables) == 1 and not databases:
        (one,) = tables
        return {"file": Path(one.label).name, "bytes": one.size, "sha256": one.digest}
    return databases | {
        "files": len(tables),
        "bytes": sum(one.size or 0 for one in tables),
        "sha256": {one.label: one.digest for one in tables},
    }
