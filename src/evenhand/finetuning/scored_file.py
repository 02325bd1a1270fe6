"""The file of decisions, written a batch at a time: CSV or Parquet."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from evenhand.errors import InputError
from evenhand.finetuning.fair_model import Decisions
from evenhand.tasks.raw_batches import RawBatch

OWN = ("row", "decision", "reason")


class ScoredFile:
    """Decisions with the columns carried through, a row for every row of the data.

    Args:
        path: where to write.
        suffix: ``.csv`` or ``.parquet``.
        classes: the class names.
        carried: the names of the columns to carry through.

    Raises:
        InputError: another suffix, or a carried column called as one of the file's own.
    """

    def __init__(
        self, path: Path, suffix: str, classes: tuple[str, ...], carried: tuple[str, ...]
    ) -> None:
        if suffix not in (".csv", ".parquet"):
            raise InputError(
                f"the output must end with .csv or .parquet, found {suffix or 'no ending'!r}"
            )
        self.path, self.suffix, self.classes, self.carried = path, suffix, classes, carried
        self.scores = ("score",) if len(classes) == 2 else tuple(f"score of {c}" for c in classes)
        own = (*OWN, *self.scores)
        clash = [name for name in carried if name in own or carried.count(name) > 1]
        if clash:
            raise InputError(
                f"column {clash[0]!r} cannot be carried through: the output has one of that name; "
                "rename it in the data"
            )
        self._writer: Any = None
        self._schema: Any = None

    def __enter__(self) -> ScoredFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, batch: RawBatch, found: Decisions) -> None:
        """Add the rows of a batch."""
        import pyarrow as arrow

        count, places = batch.count, batch.places
        rows = np.full(count, -1, dtype=np.int64)
        rows[places] = np.arange(len(places))
        taken = arrow.array(rows, mask=rows < 0)
        codes = arrow.array(found.codes, mask=found.codes < 0)
        names = arrow.array(self.classes).take(codes).take(taken)
        reasons: list[str | None] = [None] * count
        for row, why in found.reasons.items():
            reasons[int(places[row])] = why
        for row, why in batch.misfits.items():
            reasons[row] = why
        columns = {"row": arrow.array(np.arange(batch.start + 1, batch.start + 1 + count))}
        for name, values in zip(self.carried, batch.carried, strict=True):
            columns[name] = arrow.nulls(count) if values is None else values.take(taken)
        columns["decision"] = names
        kept = found.probabilities[:, 1:] if len(self.classes) == 2 else found.probabilities
        for name, values in zip(self.scores, kept.T, strict=True):
            columns[name] = arrow.array(values, mask=np.isnan(values)).take(taken)
        columns["reason"] = arrow.array(reasons, arrow.string())
        self._put(arrow.table(columns))

    def _put(self, table: Any) -> None:
        if self._writer is None:
            self._schema = table.schema
            if self.suffix == ".csv":
                from pyarrow import csv

                self._writer = csv.CSVWriter(str(self.path), table.schema)
            else:
                from pyarrow import parquet

                self._writer = parquet.ParquetWriter(str(self.path), table.schema)
        self._writer.write_table(table.cast(self._schema))
