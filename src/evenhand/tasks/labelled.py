"""A frame with its label, groups and split worked out: what every tabular task starts from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.arrays import IntArray
from evenhand.groups import Groups
from evenhand.tasks.labels import GroupColumns, code_groups, code_labels, column_of
from evenhand.tasks.split import Split, split_rows
from evenhand.tasks.task import Examples
from evenhand.weights import Weights


@dataclass(frozen=True, eq=False)
class Labelled:
    """A table with its labels, groups and split.

    Attributes:
        frame: the n rows with a known label.
        rows: (n,) their positions in the frame they were taken from.
        labels: (n,) integers in [0, K).
        classes: the K class names.
        groups: of those rows.
        parts: split name to positions in [0, n).
        notes: what was left out or is missing.
        fingerprint: sha256 of the data and of every option.
        weights: of those rows, where a column gives them.
    """

    frame: pd.DataFrame
    rows: IntArray
    labels: IntArray
    classes: tuple[str, ...]
    groups: Groups
    parts: dict[str, IntArray]
    notes: tuple[str, ...]
    fingerprint: str
    weights: Weights | None = None

    def examples(self, inputs: Callable[[IntArray], Any]) -> dict[str, Any]:
        """Split name to examples; ``inputs`` gives those of positions in [0, n)."""
        return {
            name: Examples(
                inputs(rows),
                self.labels[rows],
                self.groups[rows],
                None if self.weights is None else self.weights[rows],
            )
            for name, rows in self.parts.items()
        }


def label_frame(
    frame: pd.DataFrame,
    digest: str,
    *,
    label: str,
    groups: str | Sequence[str],
    positive: Any = None,
    split: Split = None,
    split_by: str | None = None,
    seed: int = 0,
    **weighing: Any,
) -> Labelled:
    """Code the labels and groups of ``frame`` and split it; see ``table`` for the arguments.

    Args:
        frame: the table.
        digest: sha256 of where it comes from.
        label, groups, positive, split, split_by, seed: as for ``table``.
        weighing: ``weight``, the column of the rows' weights, and ``weight_kind``.
    """
    codes, classes, known = code_labels(column_of(frame, label, "label"), positive)
    rows = np.flatnonzero(known)
    notes: tuple[str, ...] = ()
    if len(rows) < len(frame):
        notes = (f"{len(frame) - len(rows)} of {len(frame)} rows have no {label}: left out",)
        frame, codes = frame.iloc[rows].reset_index(drop=True), codes[rows]
    found, said = code_groups(frame, groups)
    column = column_of(frame, split, "split") if isinstance(split, str) else None
    by = None if split_by is None else column_of(frame, split_by, "split_by")
    cells = codes * (found.number + 1) + found.codes + 1
    parts = split_rows(len(frame), split, seed=seed, column=column, strata=cells, by=by)
    options = [label, groups, positive, split, split_by, seed]
    weight, kind = weighing.get("weight"), weighing.get("weight_kind", "survey")
    weights = None if weight is None else column_weights(frame, weight, kind)
    if weight is not None:
        options += [weight, kind]
    if isinstance(groups, GroupColumns):
        options.append(groups.bins)
    asked = json.dumps(options, default=str)
    fingerprint = hashlib.sha256(f"{digest} {asked}".encode()).hexdigest()
    if weights is not None:
        notes += (
            f"rows are weighted by {weight}: {len(weights):,} rows are as sure as "
            f"{weights.effective():,.0f} of equal weight",
        )
    return Labelled(frame, rows, codes, classes, found, parts, notes + said, fingerprint, weights)


def column_weights(frame: pd.DataFrame, weight: str, kind: str) -> Weights:
    """The weights in a column of a table.

    Raises:
        InputError: there is no such column, or it holds no weights.
    """  # noqa: DOC502
    values = pd.to_numeric(column_of(frame, weight, "weight"), errors="coerce")
    return Weights.of(values.to_numpy(np.float64), kind, f"column {weight!r}")
