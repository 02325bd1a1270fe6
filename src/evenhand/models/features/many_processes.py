"""Extraction by several processes: each computes whole shards in turn, all see them all.

In a round every process makes one shard. Where all see one cache folder, each writes its own
shards there and the first keeps the manifest; a folder of each machine's own gets the shards of the
others as they are made. A process that fails tells the others, and all end with its words.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from evenhand._base.arrays import FloatArray, IntArray
from evenhand._base.cache_folder import private_folder
from evenhand._base.distributed import World, raise_together, texts_of_all
from evenhand._base.files import write_atomically
from evenhand.errors import EvenhandError, InputError
from evenhand.models.features.origin import Origin
from evenhand.models.features.store import LOCK, ROWS_PER_SHARD, Shard, Store

Found = tuple[FloatArray, dict[int, str]]
Run = Callable[[IntArray], Found]
"""Features (n, d) of rows of the inputs, and the rows that could not be read."""


Parts = Callable[[Iterable[IntArray]], Iterator[Found]]
"""The same of several parts in turn, the next one read meanwhile."""


def fill_together(
    folder: Path,
    origin: Origin,
    task: dict[str, Any],
    parts: Parts,
    world: World,
    check: Callable[[int], None],
) -> tuple[Store, int]:
    """The entry, complete; called in every process.

    Args:
        folder: of the entry, the same path in every process.
        origin, task: see :class:`Store`.
        parts: computes features.
        world: the processes.
        check: called with how many inputs could not be read so far, to refuse too many.

    Returns:
        The store, and how many inputs went through the backbone, in all processes.
    """
    private_folder(folder)
    with ExitStack() as stack:
        if world.first:
            stack.enter_context(FileLock(folder / LOCK, mode=0o600))
        shared = _is_shared(folder, world)
        store = _opened(folder, origin, task, world, shared)
        spans = world.broadcast(np.array(store.missing, dtype=np.int64).reshape(-1, 3))
        mine = spans[world.rank :: world.size].tolist()
        made = parts(np.arange(start, stop, dtype=np.int64) for _, start, stop in mine)
        for first in range(0, len(spans), world.size):
            turn = spans[first : first + world.size].tolist()
            _round(store, turn, made, world, shared)
            check(len(store.unreadable))
    return store, int((spans[:, 2] - spans[:, 1]).sum())


def run_together(
    rows: IntArray, width: int, run: Run, world: World
) -> tuple[FloatArray, dict[int, str]]:
    """Features of ``rows`` where nothing is kept: each process computes its stride of them."""
    mine = rows[world.share(len(rows))]
    computed, failure = np.zeros((len(mine), width), dtype=np.float32), ""
    unreadable: dict[int, str] = {}
    try:
        computed, unreadable = run(mine)
    except EvenhandError as error:
        failure = str(error)
    raise_together(failure, world)
    features = np.empty((len(rows), width), dtype=np.float32)
    for rank, part in enumerate(world.gather(computed)):
        features[rank :: world.size] = part
    bad: dict[int, str] = {}
    for text in texts_of_all(json.dumps(sorted(unreadable.items())), world):
        bad |= {int(row): str(why) for row, why in json.loads(text)}
    return features, bad


def _round(
    store: Store, turn: list[list[int]], parts: Iterator[Found], world: World, shared: bool
) -> None:
    """One shard of each process, of those in ``turn``."""
    failure, made = "", ""
    if world.rank < len(turn):
        number, start, _ = turn[world.rank]
        try:
            features, bad = next(parts)
            made = json.dumps([number, asdict(store.write_shard(number, start, features, bad))])
        except EvenhandError as error:
            failure = str(error)
    raise_together(failure, world)
    for source, text in enumerate(texts_of_all(made, world)):
        if not text:
            continue
        number, about = json.loads(text)
        unreadable = tuple((int(row), str(why)) for row, why in about.pop("unreadable"))
        shard = Shard(**about, unreadable=unreadable)
        if not shared:
            mine = world.rank == source
            content = (store.folder / shard.file).read_bytes() if mine else b""
            sent = np.frombuffer(content, dtype=np.uint8) if mine else None
            received = world.broadcast(sent, source).tobytes()
            if not mine:
                write_atomically(store.folder / shard.file, received)
        store.shards[number] = shard
    if world.first or not shared:
        store.write_manifest()


def _opened(
    folder: Path, origin: Origin, task: dict[str, Any], world: World, shared: bool
) -> Store:
    """The store in every process; the first makes it, with equal shards for all."""
    store: Store | None = None
    each = world.size * max(1, -(-origin.rows // (world.size * ROWS_PER_SHARD)))
    rows_per_shard = max(1, -(-origin.rows // each))
    for turn in (True, False):
        failure = ""
        if world.first is turn:
            try:
                store = Store.open(folder, origin, task, rows_per_shard=rows_per_shard)
                if turn or not shared:
                    store.verify()
            except EvenhandError as error:
                failure = str(error)
        raise_together(failure, world)
    if store is None:
        raise InputError(f"the cache folder {folder} could not be opened")
    known = world.broadcast(np.array([store.rows_per_shard, *sorted(store.shards)]))
    same = [store.rows_per_shard, *sorted(store.shards)] == known.tolist()
    if world.any(not same):
        raise InputError(
            f"the cache folders {folder} of the processes hold different shards: clear them "
            f"(evenhand cache clear {folder.name}) on every machine, or share one folder"
        )
    return store


def _is_shared(folder: Path, world: World) -> bool:
    """Whether all processes see the same folder: a file the first makes is there for all."""
    token = world.broadcast(np.frombuffer(secrets.token_bytes(8), dtype=np.uint8))
    path = folder / f".{token.tobytes().hex()}"
    if world.first:
        write_atomically(path, b"")
    world.wait()
    shared = not world.any(not path.is_file())
    if world.first:
        path.unlink()
    return shared
