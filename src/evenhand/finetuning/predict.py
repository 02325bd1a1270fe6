"""Decide every row of a file, a batch at a time: bounded memory, no row shifted or left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd

from evenhand._base.arrays import IntArray
from evenhand._base.devices import device_of
from evenhand._base.files import replaced_file, write_atomically
from evenhand._base.options import with_defaults
from evenhand._base.paths import path_of
from evenhand._base.seals import SUMS, names_in_sums, sealed
from evenhand._base.text import listed, plural
from evenhand._base.torch_calls import placed
from evenhand.errors import InputError
from evenhand.finetuning.artefact import load
from evenhand.finetuning.drift import Drift
from evenhand.finetuning.fair_model import Decisions, FairModel
from evenhand.finetuning.predict_shards import first_images, image_parts, opened_shards
from evenhand.finetuning.scored_file import ScoredFile
from evenhand.finetuning.weighted_shares import WeightedShares
from evenhand.tasks.archive import Archive, FolderArchive, open_archive
from evenhand.tasks.image_folders import IMAGES, image_names
from evenhand.tasks.image_task import ImageFiles, resolve
from evenhand.tasks.open_table import open_table
from evenhand.tasks.raw import ImageColumn, Raw
from evenhand.tasks.raw_batches import RawBatch, raw_batches
from evenhand.tasks.shard_names import is_shards
from evenhand.tasks.table_file import TableFile

IMAGE_BATCH = 256
"""Image files decided together."""
READING: dict[str, Any] = {"delimiter": None, "encoding": None, "weight": None}


@dataclass(frozen=True)
class Predicted:
    """What came of deciding a file.

    Attributes:
        output: the file of decisions.
        drift_file: the sidecar that keeps :attr:`drift`.
        rows: of the data; each has its row in the output.
        decided: how many of them have a decision.
        drift: what was seen, against the run's own rows.
        notes: what a reader should know.
        weighted: each class's share of the decided rows' weight, where a column gives it.
    """

    output: Path
    drift_file: Path
    rows: int
    decided: int
    drift: Drift
    notes: tuple[str, ...]
    weighted: dict[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "output": str(self.output),
            "rows": self.rows,
            "decided": self.decided,
            "unreadable": self.rows - self.decided,
            "notes": list(self.notes),
            **({} if self.weighted is None else {"weighted": self.weighted}),
            "drift": self.drift.to_dict(),
        }


class Reading(TypedDict, total=False):
    """How the rows to decide are read and summed up; see :func:`predict`."""

    delimiter: str | None
    encoding: str | None
    weight: str | None


def predict(
    run: str | Path | FairModel,
    data: str | Path,
    output: str | Path,
    *,
    columns: Sequence[str] = (),
    device: str = "auto",
    on_rows: Callable[[int], object] | None = None,
    **reading: Unpack[Reading],
) -> Predicted:
    """Decide every row of a file; each has its row in the output, in the same order.

    The output has ``row`` (from 1), the columns carried through, ``decision``, ``score`` (of the
    positive class; with more classes ``score of CLASS`` for each) and ``reason``: why a row could
    not be read, and has no decision. Beside it, ``OUTPUT.drift.json`` keeps what was seen against
    the run's own rows.

    Args:
        run: the folder of a run, or its model.
        data: a table of any format that tasks read; for images also a folder or zip of them, or
            WebDataset shards.
        output: a file that ends with ``.csv`` or ``.parquet``.
        columns: of the data, carried through as they are.
        device: where the model runs: ``"auto"``, a GPU where there is one; ``"cpu"``, ``"cuda:1"``.
        on_rows: called with the number of rows just decided, for a progress bar.
        reading: ``delimiter``, ``encoding``: of a CSV, where they are not found right. ``weight``:
            a column of the rows' weights, carried through, by which the shares decided are told.

    Raises:
        InputError: a column is missing, no row can be decided, the file cannot be read or written,
            or a weight is none.
        ArtefactError: the run is not as it was written.

    Example:
        >>> task = eh.tasks.table("people.csv", label="income", groups="sex")
        >>> model = eh.finetune(None, task, strength=1.0).fair_model
        >>> eh.predict(model, "people.csv", "scored.csv", columns=["age"]).rows
        1000
    """  # noqa: DOC502
    model = run if isinstance(run, FairModel) else load(run)
    output, source = path_of(output, "the file of decisions"), path_of(data, "the data")
    _require_free(output, source, run)
    if model.raw is None:
        raise InputError(
            "the run was made from arrays, so it does not know how rows of a file become inputs: "
            "evenhand.load(run).predict(array) decides them"
        )
    how = with_defaults(READING, reading, "predict")
    weight = how["weight"]
    columns = [*columns, *([weight] if weight is not None and weight not in columns else [])]
    weighing = None if weight is None else WeightedShares(weight, model.classes)
    listing, parts = _opened(model, model.raw, source, columns, how["delimiter"], how["encoding"])
    drift = Drift.of(model)
    reasons: dict[int, str] = {}
    with ExitStack() as stack:
        stack.enter_context(placed(model.backbone.model, device_of(device)))
        temporary = stack.enter_context(replaced_file(output))
        scored = stack.enter_context(
            ScoredFile(temporary, output.suffix, model.classes, tuple(columns))
        )
        for batch, found in parts:
            scored.write(batch, found)
            drift.add(batch.count, found)
            if weighing is not None:
                weighing.add(batch, found, batch.carried[columns.index(weighing.column)])
            if len(reasons) < 3:
                some = {**found.reasons, **batch.misfits}
                reasons |= {batch.start + row: why for row, why in some.items()}
            if on_rows:
                on_rows(batch.count)
        if not drift.decided:
            raise InputError(_nothing_decided(source, drift.rows, reasons))
        shares = None if weighing is None else weighing.shares()
    notes = _notes(listing, model.raw, columns)
    if weighing is not None:
        notes = (weighing.sentence(), *notes)
    sidecar = output.with_name(output.name + ".drift.json")
    document = {"output": output.name, "data": source.name, **drift.to_dict()}
    write_atomically(sidecar, sealed(document, indent=2) + "\n")
    return Predicted(output, sidecar, drift.rows, drift.decided, drift, notes, shares)


def _holds_images(source: Path) -> bool:
    return source.is_dir() or source.suffix == ".zip"


def _images_of(source: Path) -> Archive:
    return open_archive(source) if _holds_images(source) else FolderArchive(source.parent)


Parts = Iterator[tuple[RawBatch, Decisions]]


def _require_free(output: Path, source: Path, run: Any) -> None:
    """Refuse to write over the data, or over a file of the run."""
    taken = [source]
    if isinstance(run, (str, Path)):
        taken += [Path(run) / name for name in (SUMS, *names_in_sums(Path(run)))]
    if output.resolve() in {path.resolve() for path in taken}:
        raise InputError(
            f"{output} is the data, or a file of the run: give another name for the decisions"
        )


def _opened(
    model: FairModel,
    raw: Raw,
    source: Path,
    columns: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str | None = None,
) -> tuple[TableFile | None, Parts]:
    """The table, where there is one, and its rows with what is decided of them."""
    if is_shards(source):
        found = opened_shards(source)
        if isinstance(raw, ImageColumn):
            return None, image_parts(model, found, raw.name, columns)
        return found.table, _table_parts(model, raw, found.table, source, columns)
    if isinstance(raw, ImageColumn) and _holds_images(source):
        return None, _image_parts(model, _images_of(source), columns)
    listing = open_table(source, delimiter=delimiter, encoding=encoding)
    return listing, _table_parts(model, raw, listing, source, columns)


def first_rows(model: FairModel, data: str | Path, most: int = 1000) -> Any:
    """The first readable rows of a file, as the model's ``predict`` takes them.

    Raises:
        InputError: a column is missing, or no row can be decided.
    """
    if model.raw is None:
        raise InputError("the run was made from arrays: export it from Python, with some of them")
    if isinstance(model.raw, ImageColumn) and is_shards(data):
        return first_images(opened_shards(Path(data)), model.raw.name, most)
    _, parts = _opened(model, model.raw, Path(data))
    frames: list[pd.DataFrame] = []
    left = most
    for batch, found in parts:
        good = np.flatnonzero(found.codes >= 0)[:left]
        frames.append(batch.frame.iloc[good])
        left -= len(good)
        if not left:
            break
    if left == most:
        raise InputError(
            f"no row of {Path(data).name} can be decided, so there is none to check on"
        )
    rows = pd.concat(frames, ignore_index=True)
    if isinstance(model.raw, ImageColumn):
        return ImageFiles(_images_of(Path(data)), list(map(str, rows.iloc[:, 0])))
    return rows


def _nothing_decided(source: Path, rows: int, reasons: dict[int, str]) -> str:
    shown = "; ".join(f"row {row + 1}: {why}" for row, why in list(sorted(reasons.items()))[:2])
    return f"none of the {rows:,} rows of {source.name} can be decided: {shown or 'it has none'}"


def _notes(listing: TableFile | None, raw: Raw, columns: Sequence[str]) -> tuple[str, ...]:
    if listing is None:
        return ()
    unread = [name for name in listing.columns if name not in (*raw.needs, *columns)]
    verb = "was" if len(unread) == 1 else "were"
    told = f"{plural(len(unread), 'column')} {verb} not read: {listed(unread)}"
    said = [told] if unread else []
    return (*listing.notes, *said)


def _table_parts(
    model: FairModel, raw: Raw, table: TableFile, source: Path, columns: Sequence[str]
) -> Parts:
    absent = [name for name in raw.needs if name not in table.columns]
    if absent:
        raise InputError(
            f"{table.label} lacks {len(absent)} of the {len(raw.needs)} columns that the model "
            f"reads: {', '.join(absent)}; its columns are {listed(list(table.columns))}"
        )
    archive = _images_of(source) if isinstance(raw, ImageColumn) else None
    for batch in raw_batches(table, raw, columns):
        if archive is None:
            yield batch, model.decide(batch.frame)
        else:
            listed_names = batch.frame[raw.needs[0]]
            found = resolve(archive, listed_names, ".")
            names = [there or str(name) for there, name in zip(found, listed_names, strict=True)]
            yield batch, model.decide(ImageFiles(archive, names))


def _image_parts(model: FairModel, archive: Archive, columns: Sequence[str]) -> Parts:
    import pyarrow as arrow

    more = [name for name in columns if name != "file"]
    if more:
        raise InputError(
            f"a folder of images has the column 'file' alone, not {', '.join(more)}: give a table "
            "with a column of files"
        )
    names = image_names(archive)
    if not names:
        raise InputError(f"{archive.path} holds no image ({', '.join(IMAGES)})")
    for start in range(0, len(names), IMAGE_BATCH):
        some = names[start : start + IMAGE_BATCH]
        places: IntArray = np.arange(len(some), dtype=np.int64)
        carried = [arrow.array(some)] if columns else []
        batch = RawBatch(start, len(some), places, pd.DataFrame({"file": some}), carried, {})
        yield batch, model.decide(ImageFiles(archive, some))
