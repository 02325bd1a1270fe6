"""Run the frozen backbone once.

Each input gives one row of features, in eval mode, so that every head, strength, seed and split
reads the same numbers. Augmentation gives an input other features every time it is seen: it has no
place here, and takes the road inside the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
import torch
from filelock import FileLock
from tqdm import tqdm

from evenhand._base.arrays import FloatArray, IntArray
from evenhand._base.cache_folder import unwritable
from evenhand._base.devices import Precision, device_of, precision_of
from evenhand._base.distributed import ALONE, World
from evenhand._base.options import with_defaults
from evenhand.errors import InputError
from evenhand.models.backbone import Backbone
from evenhand.models.features.many_processes import fill_together, run_together
from evenhand.models.features.origin import Origin
from evenhand.models.features.runner import Runner, Watch
from evenhand.models.features.store import LOCK, Store, is_whole
from evenhand.rows import Rows
from evenhand.tasks.inputs import digest_of, parent_and_rows
from evenhand.tasks.task import Examples

Dtype = Literal["float32", "float16"]


MAX_UNREADABLE = 0.05
"""The share of inputs that may be unreadable before a run is refused."""


@dataclass(frozen=True, eq=False)
class Extraction:
    """The features of some examples, and what was left out on the way.

    Attributes:
        rows: the readable rows, with features (n, d) float32.
        kept: (n,) their positions in the examples.
        dropped: position in the examples to the reason, for inputs that could not be read.
        computed: how many inputs went through the backbone; 0 where all came from the cache.
        store: the cache entry, complete and verified; None without a cache.
    """

    rows: Rows
    kept: IntArray
    dropped: dict[int, str]
    computed: int
    store: Store | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the rows dropped; the first three are named."""
        if not self.dropped:
            return ()
        shown = "; ".join(f"row {row}: {why}" for row, why in list(self.dropped.items())[:3])
        total = len(self.kept) + len(self.dropped)
        return (
            f"{len(self.dropped)} of {total} inputs could not be read and were left out: {shown}",
        )


def origin_of(
    backbone: Backbone, inputs: Any, *, dtype: Dtype = "float32", precision: Precision = "float32"
) -> Origin:
    """What the features of ``inputs`` (or of the parent it is a view of) would come from."""
    parent, _ = parent_and_rows(inputs)
    return Origin(
        model=backbone.name,
        model_fingerprint=backbone.fingerprint,
        layer=str(getattr(backbone.model, "places", backbone.head)),
        inputs=str(getattr(parent, "name", "inputs")),
        inputs_fingerprint=digest_of(parent),
        rows=len(parent),
        width=backbone.in_features,
        dtype=dtype,
        precision=precision,
        preparation=backbone.preparation,
    )


class Running(TypedDict, total=False):
    """How a backbone is run; see :func:`extract`."""

    batch_size: int | None
    dtype: Dtype
    precision: str
    device: str | torch.device | None
    progress: bool
    max_unreadable: float
    world: World
    watch: Watch | None


RUNNING: dict[str, Any] = {
    "batch_size": None,
    "dtype": "float32",
    "precision": "float32",
    "device": None,
    "progress": False,
    "max_unreadable": MAX_UNREADABLE,
    "world": ALONE,
    "watch": None,
}


def extract(
    backbone: Backbone,
    examples: Examples,
    classes: tuple[str, ...],
    *,
    cache: Path | Store | None = None,
    origin: Origin | None = None,
    task: dict[str, Any] | None = None,
    **options: Unpack[Running],
) -> Extraction:
    """The features of ``examples``, from the cache as far as it reaches.

    Args:
        backbone: the frozen model.
        examples: inputs, labels, groups. Where the inputs are a ``View``, the cache holds the whole
            parent, shared by all its views.
        classes: the K class names of the labels.
        cache: the entry's folder, or the store of an extraction from the same parent just done;
            None: nothing is written, and only the rows needed are computed.
        origin: of the features, where the caller has computed it already.
        task: for people, kept in a new manifest.
        options: ``batch_size``: inputs a forward pass (64, and on a GPU as many as its memory
            holds). ``dtype``: what the cache stores. ``precision``: what the model computes in;
            other than float32 means automatic mixed precision, and ``"auto"`` bfloat16 on a GPU
            that has it. ``device``: where the model runs, ``"auto"`` for the GPU where there is
            one, by default where it is; it is put back afterwards. ``progress``: show a bar on
            standard error. ``max_unreadable`` (.05): the share of inputs that may be unreadable.
            ``world``: the processes that share the work; all call, with the same examples, and all
            get the same extraction. ``watch``: entered around each forward pass, with the parent,
            the rows and the prepared batch; what comes from the cache is not passed.

    Raises:
        InputError: more inputs than that are unreadable.
        ModelError: the head is not what gives the logits; features are not finite.
        ArtefactError: the entry was made from something else, or is damaged.
    """  # noqa: DOC502
    how = with_defaults(RUNNING, options, "extract")
    world, progress = how["world"], how["progress"]
    parent, rows = parent_and_rows(examples.inputs)
    device = device_of(how["device"])
    precision = precision_of(how["precision"], device or backbone.device)
    runner = Runner(
        backbone,
        parent,
        how["batch_size"],
        precision,
        device,
        how["max_unreadable"],
        how["watch"],
    )
    store, computed = None, 0
    if cache is None:
        mine = len(rows[world.share(len(rows))])
        with runner.running(), _bar(progress and world.first, mine, backbone.name) as advance:

            def run(some: IntArray) -> tuple[FloatArray, dict[int, str]]:
                return runner.run(some, advance, total=len(rows))

            if world.size == 1:
                features, unreadable = run(rows)
            else:
                features, unreadable = run_together(rows, backbone.in_features, run, world)
                runner.check_share(len(unreadable), len(rows), unreadable)
        computed = len(rows)
    else:
        if isinstance(cache, Store):
            store = cache
        else:
            origin = origin or origin_of(backbone, parent, dtype=how["dtype"], precision=precision)
            store, computed = _fill(cache, origin, task or {}, runner, progress, world)
        unreadable = store.unreadable
    bad = {int(i): unreadable[int(r)] for i, r in enumerate(rows) if int(r) in unreadable}
    everything = np.arange(len(rows), dtype=np.int64)
    kept = np.setdiff1d(everything, np.array(list(bad), dtype=np.int64))
    features = features[kept] if store is None else store.gather(rows[kept])
    weights = None if examples.weights is None else examples.weights[kept]
    readable = Rows(
        features, examples.labels[kept], examples.groups[kept], tuple(classes), weights=weights
    )
    return Extraction(readable, kept, bad, computed, store)


def _fill(
    folder: Path,
    origin: Origin,
    task: dict[str, Any],
    runner: Runner,
    progress: bool,
    world: World = ALONE,
) -> tuple[Store, int]:
    """The entry, complete and verified; a second process waits for the first.

    One that cannot be written, as on a read-only disk, is read where it is complete.
    The lock is the operating system's on an open file: it is gone when its holder is, even killed.

    Raises:
        InputError: the cache cannot be written, and holds no complete entry.
    """
    barred = unwritable(folder)
    if barred:
        store = Store.open(folder, origin) if is_whole(folder) else None
        if store is None:
            raise InputError(barred)
        store.verify()
        return store, 0
    if world.size > 1:
        mine = -(-origin.rows // world.size)
        with runner.running(), _bar(progress and world.first, mine, origin.name) as advance:
            return fill_together(
                folder,
                origin,
                task,
                lambda parts: runner.parts(parts, advance, origin.rows),
                world,
                lambda bad: runner.check_share(bad, origin.rows, {}),
            )
    with FileLock(folder / LOCK, mode=0o600):
        store = Store.open(folder, origin, task)
        store.verify()
        spans = store.missing
        computed = sum(stop - start for _, start, stop in spans)
        if spans:
            with runner.running(), _bar(progress, computed, origin.name) as advance:
                rows = (np.arange(start, stop, dtype=np.int64) for _, start, stop in spans)
                parts = runner.parts(rows, advance, origin.rows, len(store.unreadable))
                for (number, start, _), (features, bad) in zip(spans, parts, strict=True):
                    store.add(number, start, features, bad)
    return store, computed


@contextmanager
def _bar(show: bool, total: int, name: str) -> Iterator[Callable[[int], object]]:
    """A progress bar on standard error, or none: gives the function that advances it."""
    with tqdm(total=total, desc=f"features {name}", unit="row", disable=not show) as bar:
        yield bar.update
