"""Labels that a caller holds in memory, split by split, as integers in [0, K)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.arrays import IntArray, Table
from evenhand._base.columns import column, columns
from evenhand._base.names import name_of
from evenhand._base.text import listed
from evenhand.errors import InputError
from evenhand.tasks.labels import MAX_CLASSES, code_labels


def code_splits(
    labels: Mapping[str, Any], classes: Sequence[str] | None
) -> tuple[dict[str, IntArray], tuple[str, ...], tuple[str, ...]]:
    """The labels of every split coded alike.

    Whole numbers from 0 on are codes already. Texts, 1 to K, and -1 and 1 are names: those of
    ``classes`` in their order, or sorted, so that of two the later is positive. Other numbers are
    refused: -1 beside 0 may mean "not labelled", and fractions are no classes.

    Args:
        labels: split name to (N,) or (N, 1) labels of any library.
        classes: the K class names; those of the labels by default.

    Returns:
        Split name to (N,) codes, the K class names, and what a reader should know.

    Raises:
        InputError: labels that are missing, of several kinds in one split or between splits, not
            among the classes, or too many.
    """
    read = {
        split: _one_column(values, f"the labels of {split}") for split, values in labels.items()
    }
    kinds = {split: _kind(values, split) for split, values in read.items() if len(values)}
    if len(set(kinds.values())) > 1:
        found = ", ".join(f"{kind} in {split}" for split, kind in kinds.items())
        raise InputError(f"labels are of different kinds: {found}; give all splits the same")
    together = np.concatenate([values.astype(object) for values in read.values()])
    kind = next(iter(kinds.values()), "numbers")
    codes, names, notes = _coded(together, kind, None if classes is None else tuple(classes))
    ends = np.cumsum([len(values) for values in read.values()])[:-1]
    return dict(zip(read, np.split(codes, ends), strict=True)), names, notes


def _one_column(values: Any, what: str) -> Table:
    found = values if isinstance(values, Mapping) else columns(values, what)
    if len(found) > 1:
        raise InputError(
            f"{what} are {len(found)} columns ({listed(map(str, found))}): give one, or all to "
            "evenhand.finetune_labels"
        )
    return column(values, what)


def _kind(values: Table, split: str) -> str:
    missing = int(pd.isna(values).sum())
    if missing:
        raise InputError(
            f"{missing} of {len(values)} labels of {split} are missing: leave those rows out"
        )
    if values.dtype != object:
        return _kind_of(values[0])
    kinds = sorted({_kind_of(value) for value in values})
    if len(kinds) > 1:
        raise InputError(
            f"the labels of {split} mix {' and '.join(kinds)}: give values of one kind"
        )
    return kinds[0]


def _kind_of(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "booleans"
    return "numbers" if isinstance(value, (Real, Decimal)) else "texts"


def _coded(
    values: Table, kind: str, classes: tuple[str, ...] | None
) -> tuple[IntArray, tuple[str, ...], tuple[str, ...]]:
    if kind == "booleans":
        return values.astype(np.int64), classes or ("False", "True"), ()
    whole = _whole(values) if kind == "numbers" else None
    if whole is not None and whole.size:
        low, high = int(whole.min()), int(whole.max())
        if classes is not None and low >= 0 and high < len(classes):
            return whole, classes, ()
        if classes is None and low == 0:
            return whole, _numbered(high, whole), ()
    if classes is not None:
        return _by_name(values, classes), classes, ()
    if not len(values):
        return values.astype(np.int64), (), ()
    if kind == "numbers":
        _require_names(values)
    codes, names, _ = code_labels(pd.Series(values.tolist(), name="labels"))
    order = "; ".join(f"{name} is {code}" for code, name in enumerate(names[:8]))
    note = f"labels are read as {len(names)} classes in this order: {order}"
    return codes, names, (note,) if kind == "numbers" else ()


def _require_names(values: Table) -> None:
    """Refuse numbers that are neither -1 and 1 nor 1 to K."""
    found = sorted({float(value) for value in values if abs(value) < 1e300})
    if found in ([-1.0, 1.0], [float(k + 1) for k in range(len(found))]):
        return
    shown = ", ".join(f"{value:g}" for value in found[:5])
    raise InputError(
        "labels that are numbers must be integers from 0 on (or from 1 on without gaps, or -1 and "
        f"1): found {shown}; give such numbers, or texts"
    )


def _whole(values: Table) -> IntArray | None:
    """The values as integers; None where one is no whole number of 64 bits."""
    try:
        if any(int(value) != value for value in values):
            return None
        return np.array([int(value) for value in values], dtype=np.int64)
    except (OverflowError, ValueError):
        return None


def _numbered(highest: int, found: IntArray) -> tuple[str, ...]:
    if highest >= MAX_CLASSES:
        different = len(np.unique(found))
        raise InputError(
            f"labels reach from 0 to {highest:,}, which is {highest + 1:,} classes ({different:,} "
            f"different values are there), more than {MAX_CLASSES:,}: give class numbers without "
            "gaps, or texts"
        )
    return tuple(str(code) for code in range(highest + 1))


def _by_name(values: Table, classes: tuple[str, ...]) -> IntArray:
    code = {name_of(name): index for index, name in enumerate(classes)}
    names = [name_of(value) for value in values]
    strangers = sorted({name for name in names if name not in code})
    if strangers:
        raise InputError(
            f"label {strangers[0]!r} ({len(strangers)} such values) is not among the classes "
            f"{', '.join(map(str, classes[:8]))}, nor a number in [0, {len(classes)})"
        )
    return np.array([code[name] for name in names], dtype=np.int64)
