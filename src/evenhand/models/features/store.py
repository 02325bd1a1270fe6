"""One cache entry: safetensors shards and the manifest that says what they came from."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from evenhand._base.arrays import FloatArray, IntArray
from evenhand._base.cache_folder import not_own, private_folder
from evenhand._base.files import write_atomically
from evenhand._base.seals import sealed, unsealed
from evenhand.errors import ArtefactError
from evenhand.models.features.disk_array import Stored
from evenhand.models.features.origin import FORMAT, Origin

MANIFEST = "manifest.json"
LOCK = "lock"
OWN = re.compile(
    r"manifest\.json|lock|shard-\d+\.safetensors"
    r"|\.(manifest\.json|shard-\d+\.safetensors)\..*\.part|\.[0-9a-f]{16}"
)
"""The files of an entry, what a killed writer may have left included."""


ROWS_PER_SHARD = 2048
TENSOR = "features"
HELD_BYTES = 1 << 30
"""Features of more than so many bytes stay on disk, and are read when used."""


@dataclass(frozen=True)
class Shard:
    """Rows ``start`` to ``stop`` in one file.

    Attributes:
        file: its name in the entry's folder.
        start, stop: its rows in the order of the inputs.
        sha256: of the file.
        unreadable: (row, reason) of inputs that could not be read; their features are zeros.
    """

    file: str
    start: int
    stop: int
    sha256: str
    unreadable: tuple[tuple[int, str], ...] = ()


@dataclass
class Store:
    """The shards of one entry on disk.

    Attributes:
        folder: the entry.
        origin: what its features come from.
        task: for people: the task it was first made for (label, classes, group names).
        shards: what is there, by number.
        rows_per_shard: how many rows a shard holds; the last may hold fewer.
    """

    folder: Path
    origin: Origin
    task: dict[str, Any] = field(default_factory=dict)
    shards: dict[int, Shard] = field(default_factory=dict)
    rows_per_shard: int = field(default_factory=lambda: ROWS_PER_SHARD)

    @classmethod
    def open(
        cls,
        folder: Path,
        origin: Origin,
        task: dict[str, Any] | None = None,
        *,
        rows_per_shard: int | None = None,
    ) -> Store:
        """The entry in ``folder``; a new one (of shards of so many rows) where there is none.

        Raises:
            ArtefactError: it was made from something else (each difference is named), or its
                manifest is damaged.
        """
        if not (folder / MANIFEST).exists():
            private_folder(folder)
            store = cls(folder, origin, task or {})
            store.rows_per_shard = rows_per_shard or store.rows_per_shard
            store.write_manifest()
            return store
        store = cls.read(folder)
        changed = [
            f"{name} was {_short(was)}, is {_short(now)}"
            for (name, was), now in zip(
                store.origin.content.items(), origin.content.values(), strict=True
            )
            if was != now
        ]
        if changed:
            raise ArtefactError(
                f"the cached features {folder.name} were made from something else: "
                f"{'; '.join(changed)}. Use another cache folder, or: "
                f"evenhand cache clear {folder.name}"
            )
        return store

    @classmethod
    def read(cls, folder: Path) -> Store:
        """The entry in ``folder`` as its manifest describes it.

        Raises:
            ArtefactError: the manifest is missing, damaged or of another version.
        """
        try:
            manifest = unsealed((folder / MANIFEST).read_bytes())
            if manifest["format"] != FORMAT:
                raise ArtefactError(
                    f"the cached features {folder.name} have format {manifest['format']}, this "
                    f"evenhand reads {FORMAT}: evenhand cache clear {folder.name}"
                )
            shards = {
                int(number): Shard(
                    **{
                        **shard,
                        "unreadable": tuple((int(r), str(w)) for r, w in shard["unreadable"]),
                    }
                )
                for number, shard in manifest["shards"].items()
            }
            return cls(
                folder,
                Origin(**manifest["origin"]),
                manifest["task"],
                shards,
                int(manifest["rows_per_shard"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtefactError(
                f"the manifest of the cached features {folder.name} is damaged ({error}): "
                f"evenhand cache clear {folder.name}"
            ) from error

    @property
    def missing(self) -> list[tuple[int, int, int]]:
        """(number, start, stop) of the shards still to be made, in order."""
        starts = range(0, self.origin.rows, self.rows_per_shard)
        spans = (
            (number, start, min(start + self.rows_per_shard, self.origin.rows))
            for number, start in enumerate(starts)
        )
        return [span for span in spans if span[0] not in self.shards]

    @property
    def unreadable(self) -> dict[int, str]:
        """Row to reason, of every input that could not be read."""
        return {row: why for shard in self.shards.values() for row, why in shard.unreadable}

    @property
    def bytes(self) -> int:
        """The size on disk."""
        return sum(file.stat().st_size for file in self.folder.iterdir() if file.is_file())

    def add(
        self, number: int, start: int, features: FloatArray, unreadable: dict[int, str]
    ) -> None:
        """Write shard ``number``, whole or not at all, then the manifest that knows of it."""
        self.shards[number] = self.write_shard(number, start, features, unreadable)
        self.write_manifest()

    def write_shard(
        self, number: int, start: int, features: FloatArray, unreadable: dict[int, str]
    ) -> Shard:
        """Write shard ``number``, whole or not at all; the manifest does not know of it yet."""
        content = save({TENSOR: np.ascontiguousarray(features.astype(self.origin.dtype))})
        name = f"shard-{number:05d}.safetensors"
        write_atomically(self.folder / name, content)
        return Shard(
            name,
            start,
            start + len(features),
            hashlib.sha256(content).hexdigest(),
            tuple(sorted(unreadable.items())),
        )

    def verify(self) -> None:
        """Hash every shard.

        Raises:
            ArtefactError: one is missing or damaged; the message names it.
        """
        for shard in self.shards.values():
            path = self.folder / shard.file
            if not path.is_file():
                problem = "is missing"
            else:
                with path.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
                if found == shard.sha256:
                    continue
                problem = f"is damaged (sha256 {found[:12]}…, expected {shard.sha256[:12]}…)"
            raise ArtefactError(
                f"{shard.file} of the cached features {self.folder.name} {problem}: "
                f"evenhand cache clear {self.folder.name}, then run again"
            )

    def gather(self, rows: IntArray) -> FloatArray:
        """(len(rows), d) float32 features of the rows asked for.

        Consecutive rows of one shard come as a memory map, others are read from the maps; more than
        :data:`HELD_BYTES` of them stay on disk, as :class:`Stored`.
        """
        numbers = rows // self.rows_per_shard
        consecutive = len(rows) > 0 and bool((np.diff(rows) == 1).all())
        if consecutive and numbers[0] == numbers[-1] and self.origin.dtype == "float32":
            start = int(rows[0]) - self.shards[int(numbers[0])].start
            return self._map(int(numbers[0]))[start : start + len(rows)]
        if len(rows) * self.origin.width * 4 > HELD_BYTES:
            maps = [self._map(number) for number in sorted(self.shards)]
            stored: Any = Stored(maps, numbers.astype(np.int32), rows % self.rows_per_shard)
            return stored
        gathered = np.empty((len(rows), self.origin.width), dtype=np.float32)
        for number in np.unique(numbers):
            here = numbers == number
            shard = self._map(int(number))
            gathered[here] = shard[rows[here] - self.shards[int(number)].start]
        return gathered

    def _map(self, number: int) -> FloatArray:
        path = self.folder / self.shards[number].file
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))[TENSOR]
        offset = 8 + length + header["data_offsets"][0]
        mapped: FloatArray = np.memmap(
            path, self.origin.dtype, mode="r", offset=offset, shape=tuple(header["shape"])
        )
        return mapped

    def write_manifest(self) -> None:
        """Write what is known of the entry, all or nothing."""
        manifest = {
            "format": FORMAT,
            "origin": asdict(self.origin),
            "task": self.task,
            "rows_per_shard": self.rows_per_shard,
            "shards": {number: asdict(shard) for number, shard in sorted(self.shards.items())},
        }
        write_atomically(self.folder / MANIFEST, sealed(manifest, indent=1))


def is_whole(folder: Path) -> bool:
    """Whether an entry of this user is there and none of its shards is still to be made."""
    if not_own(folder):
        return False
    return os.path.isfile(folder / MANIFEST) and not Store.read(folder).missing  # noqa: PTH113


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
