"""Any table as a task: a label, group columns and features, from a CSV or Parquet file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.arrays import FloatArray
from evenhand.errors import InputError
from evenhand.tasks.fit_encoder import fit_encoder
from evenhand.tasks.labelled import label_frame
from evenhand.tasks.labels import column_of
from evenhand.tasks.read_table import read_frame
from evenhand.tasks.split import Split
from evenhand.tasks.table_encoder import TableEncoder
from evenhand.tasks.task import Task


@dataclass(frozen=True, eq=False)
class TableTask(Task):
    """A task whose inputs are an encoded table."""

    @property
    def encoder(self) -> TableEncoder:
        """What makes numbers of a row.

        Raises:
            InputError: the task was made without one.
        """
        if not isinstance(self.raw, TableEncoder):
            raise InputError(f"task {self.name!r} was made without an encoder")
        return self.raw

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the d inputs, in order."""
        return self.encoder.feature_names

    def encode(self, frame: pd.DataFrame) -> FloatArray:
        """(n, d) float32 inputs of new rows with the same columns.

        Raises:
            InputError: a column is missing, or a value is not what its column holds.
        """
        found = self.encoder.encode(frame)
        for row, reason in found.refused.items():
            raise InputError(f"row {row + 1} cannot be encoded: {reason}")
        return found.inputs


def table(
    data: str | Path,
    *,
    label: str,
    groups: str | Sequence[str],
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    positive: Any = None,
    split: Split = None,
    split_by: str | None = None,
    seed: int = 0,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    name: str | None = None,
) -> TableTask:
    """A CSV or Parquet file as a task with (N, d) float32 inputs.

    Args:
        data: the file; ``.gz`` is unpacked, the delimiter and a byte-order mark are found.
        label: the column to predict: texts or numbers, two classes or more.
        groups: one or more columns, crossed; rows without a value train the task and enter no gap.
        features: the columns to predict from; None: all but the label, the groups and the split.
        drop: columns to leave out of those.
        positive: the value (or values) of the label that count as positive.
        split: a column that says train, valid, test (and pretrain), or fractions of the parts;
            None: .6 / .15 / .25, drawn with the label and group in proportion.
        split_by: a column whose values must not be torn apart, such as a person.
        seed: of the split.
        delimiter, encoding: of a CSV, where they are not found right.
        name: what the results call the task; None: the file's name.

    Raises:
        InputError: a column that is not there, a label that is not one, a part without rows, …
    """
    path = Path(data)
    frame, notes, digest = read_frame(path, delimiter=delimiter, encoding=encoding)
    made = label_frame(
        frame,
        digest,
        label=label,
        groups=groups,
        positive=positive,
        split=split,
        split_by=split_by,
        seed=seed,
    )
    frame = made.frame
    named = [groups] if isinstance(groups, str) and groups in frame.columns else groups
    listed = [part.strip() for part in named.split(",")] if isinstance(named, str) else list(named)
    if features is None:
        taken = {label, *listed, *drop, split if isinstance(split, str) else None, split_by}
        chosen = [str(column) for column in frame.columns if column not in taken]
    else:
        chosen = [str(column_of(frame, column, "feature").name) for column in features]
        if label in chosen:
            raise InputError(f"column {label!r} is the label and cannot be a feature too")
    fit = np.concatenate([made.parts[part] for part in ("pretrain", "train") if part in made.parts])
    encoder, said = fit_encoder(frame, chosen, np.sort(fit))
    inputs = encoder.encode(frame).inputs
    digest = hashlib.sha256(f"{made.fingerprint} {chosen}".encode()).hexdigest()
    parts = made.examples(lambda rows: inputs[rows])
    return TableTask(
        name=name or path.name.split(".")[0],
        classes=made.classes,
        label=label,
        fingerprint=digest,
        notes=notes + made.notes + said,
        raw=encoder,
        **parts,
    )
