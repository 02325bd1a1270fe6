"""Any table as a task: a label, group columns and features, from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import pandas as pd

from evenhand._base.arrays import FloatArray
from evenhand._base.options import with_defaults
from evenhand.errors import InputError
from evenhand.tasks.fit_encoder import fit_encoder
from evenhand.tasks.labelled import label_frame
from evenhand.tasks.labels import column_of, group_columns
from evenhand.tasks.options import FILE_OPTIONS, LABELLING, FileOptions
from evenhand.tasks.read_table import frame_of
from evenhand.tasks.rows_at_hand import opened_rows
from evenhand.tasks.shard_names import is_shards
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
    data: Any,
    *,
    label: str,
    groups: str | Sequence[str],
    features: Sequence[str] | TableEncoder | None = None,
    drop: Sequence[str] = (),
    categorical: Sequence[str] = (),
    decimal: str | None = None,
    **options: Unpack[FileOptions],
) -> TableTask:
    """A file with a table as a task with (N, d) float32 inputs.

    Args:
        data: CSV (the delimiter is found), Parquet, Arrow, JSON lines or Excel, packed or not; or
            rows in memory: a frame of pandas, polars or Arrow, a ``datasets.Dataset``, also a
            streamed one, or a mapping of ``train``, ``valid`` and ``test`` to such.
        label: the column to predict: texts or numbers, two classes or more.
        groups: one or more columns, crossed; rows without a value train the task and enter no gap.
        features: the columns to predict from; None: all but the label, the groups and the split;
            an encoder: those of a task before, encoded as there.
        drop: columns to leave out of those.
        categorical: columns whose numbers are codes of categories.
        decimal: ``","`` where numbers are written 1.234,5; None: as fits each column.
        options: ``positive``: the value (or values) of the label that count as positive.
            ``missing``: words that mean "no value" beside the usual ones, such as "none".
            ``split``: a column that says train, valid, test (and pretrain), or fractions of the
            parts; by default .6 / .15 / .25, drawn with the label and group in proportion.
            ``split_by``: a column whose values must not be torn apart, such as a person. ``seed``:
            of the split. ``delimiter``, ``encoding``: of a CSV, where they are not found right.
            ``name``: what the results call the task; the file's by default. ``weight``: a column of
            the rows' weights, in all that is fitted and counted; ``weight_kind``: ``"survey"`` (a
            row stands for others that were not seen) or ``"frequency"`` (for others that were).

    Raises:
        InputError: a column that is not there, a label that is not one, a part without rows, …

    Example:
        >>> task = eh.tasks.table("people.csv", label="income", groups="sex", positive=">50K")
        >>> task.train.inputs.shape, task.train.groups.names
        ((600, 2), ('F', 'M'))
    """
    old = features if isinstance(features, TableEncoder) else None
    named = features.needs if isinstance(features, TableEncoder) else features
    how = with_defaults(FILE_OPTIONS, options, "tasks.table")
    if is_shards(data):
        raise InputError(
            "shards hold images or texts, which a model must read: take task images or text, and "
            "give a model"
        )
    found = opened_rows(data, how)
    opened, how = found.table, how | {"split": found.split}
    label = str(label) if isinstance(label, int) else label  # as pandas calls such columns
    listed = group_columns(groups, opened.columns)
    beside = [
        label,
        *listed,
        *(
            column
            for column in (how["split"], how["split_by"], how["weight"])
            if isinstance(column, str)
        ),
    ]
    frame, notes, digest = frame_of(
        opened,
        names=[label, *listed],
        columns=None if named is None else [*beside, *named],
        decimal=decimal,
        missing=how["missing"],
    )
    made = label_frame(
        frame,
        digest,
        label=label,
        groups=listed,
        **{name: how[name] for name in LABELLING},
    )
    frame = made.frame
    for column in categorical:
        column_of(frame, column, "categorical")
    if named is None:
        chosen = [str(c) for c in frame.columns if c not in {*beside, *drop}]
    else:
        chosen = [str(column_of(frame, column, "feature").name) for column in named]
        if label in chosen:
            raise InputError(f"column {label!r} is the label and cannot be a feature too")
        if how["weight"] in chosen:
            raise InputError(f"column {how['weight']!r} is the weight and cannot be a feature too")
    fit = np.concatenate([made.parts[part] for part in ("pretrain", "train") if part in made.parts])
    encoder, said = (
        (old, ())
        if old
        else fit_encoder(
            frame,
            chosen,
            np.sort(fit),
            named_by_owner=named is not None,
            categorical=categorical,
            decimal=decimal,
            missing=how["missing"],
        )
    )
    encoded = encoder.encode(frame)
    for row, reason in encoded.refused.items():
        raise InputError(f"row {row + 1} of {opened.label} cannot be encoded: {reason}")
    inputs = encoded.inputs
    digest = hashlib.sha256(
        f"{made.fingerprint} {chosen} {list(categorical)} {decimal} {old or ''}".encode()
    ).hexdigest()
    parts = made.examples(lambda rows: inputs[rows])
    return TableTask(
        name=how["name"] or found.name,
        classes=made.classes,
        label=label,
        fingerprint=digest,
        notes=notes + made.notes + said,
        raw=encoder,
        **parts,
    )
