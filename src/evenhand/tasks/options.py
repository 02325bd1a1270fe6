"""The options that every task of a user's file takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from evenhand.tasks.split import Split


class FileOptions(TypedDict, total=False):
    """How a file is read, labelled and split; see :func:`evenhand.tasks.table`."""

    positive: Any
    split: Split
    split_by: str | None
    seed: int
    delimiter: str | None
    encoding: str | None
    missing: Sequence[Any]
    name: str | None
    weight: str | None
    weight_kind: str


FILE_OPTIONS: dict[str, Any] = {
    "positive": None,
    "split": None,
    "split_by": None,
    "seed": 0,
    "delimiter": None,
    "encoding": None,
    "missing": (),
    "name": None,
    "weight": None,
    "weight_kind": "survey",
}
LABELLING = ("positive", "split", "split_by", "seed", "weight", "weight_kind")
"""Those that say how rows are labelled, split and weighted."""
