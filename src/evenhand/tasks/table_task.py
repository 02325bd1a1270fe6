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
from evenhand.tasks.encode import as_texts, make_encoder, tidy
from evenhand.tasks.labelled import label_frame
from evenhand.tasks.labels import column_of
from evenhand.tasks.read_table import read_frame
from evenhand.tasks.split import Split
from evenhand.tasks.task import Task


@dataclass(frozen=True, eq=False)
class TableTask(Task):
    """A task whose inputs are an encoded table.

    Attributes:
        feature_names: of the d inputs, in order.
        encoder: the fitted ``sklearn`` ColumnTransformer.
        columns: the feature columns it reads.
    """

    feature_names: tuple[str, ...] = ()
    encoder: Any = None
    columns: tuple[str, ...] = ()

    def encode(self, frame: pd.DataFrame) -> FloatArray:
        """(n, d) float32 inputs of new rows with the same columns."""
        for name in self.columns:
            column_of(frame, name, "feature")
        return encoded(self.encoder, tidy_like(frame, self.columns, self.encoder))


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
    tidied, said = tidy(frame, chosen)
    fit = np.concatenate([made.parts[part] for part in ("pretrain", "train") if part in made.parts])
    encoder = make_encoder(tidied)
    encoder.fit(tidied.iloc[np.sort(fit)])
    inputs = encoded(encoder, tidied)
    digest = hashlib.sha256(f"{made.fingerprint} {chosen}".encode()).hexdigest()
    parts = made.examples(lambda rows: inputs[rows])
    return TableTask(
        name=name or path.name.split(".")[0],
        classes=made.classes,
        label=label,
        fingerprint=digest,
        notes=notes + made.notes + said,
        feature_names=tuple(str(column) for column in encoder.get_feature_names_out()),
        encoder=encoder,
        columns=tuple(tidied.columns),
        **parts,
    )


def tidy_like(frame: pd.DataFrame, columns: Sequence[str], encoder: Any) -> pd.DataFrame:
    """New rows in the kinds the encoder was fitted on."""
    numeric = set(encoder.transformers_[0][2])
    made: dict[str, Any] = {}
    for name in columns:
        column = frame[name]
        if name in numeric:
            numbers = pd.to_numeric(column, errors="coerce").astype(float)
            made[name] = numbers.replace([np.inf, -np.inf], np.nan)
        else:
            made[name] = as_texts(column)
    return pd.DataFrame(made, index=frame.index)


def encoded(encoder: Any, frame: pd.DataFrame) -> FloatArray:
    """(n, d) float32 of a tidied frame."""
    matrix: FloatArray = np.asarray(encoder.transform(frame), dtype=np.float32)
    return matrix
