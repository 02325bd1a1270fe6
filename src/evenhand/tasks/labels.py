"""Columns to labels and groups: text or numbers, two classes or more, missing values counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evenhand._base.arrays import IntArray
from evenhand.errors import InputError
from evenhand.groups import Groups

MAX_CLASSES = 1000


MAX_GROUPS = 200


def column_of(frame: pd.DataFrame, name: str, role: str) -> pd.Series[Any]:
    """The column ``name``.

    Raises:
        InputError: no such column; the message lists what there is.
    """
    if name not in frame.columns:
        shown = ", ".join(map(str, frame.columns[:20]))
        more = f" and {len(frame.columns) - 20} more" if len(frame.columns) > 20 else ""
        raise InputError(f"there is no {role} column {name!r}; the columns are {shown}{more}")
    column: pd.Series[Any] = frame[name]
    return column


def text_of(value: Any) -> str:
    """A class or group name: 1.0 is "1", True is "True", text is as it stands."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def code_labels(
    column: pd.Series[Any], positive: Any = None
) -> tuple[IntArray, tuple[str, ...], npt.NDArray[np.bool_]]:
    """A label column as integers.

    Args:
        column: (N,) labels of any kind.
        positive: the value (or values) of the positive class. Of two classes it is put last; of
            more, the label becomes positive against the rest. None: classes in sorted order, so
            that of two the later (1, True, yes, …) is positive.

    Returns:
        (N,) codes in [0, K) (0 where missing), the K class names, and (N,) True where the label is
        known.

    Raises:
        InputError: fewer than two classes, more than 1,000, or a positive value not in the column.
    """
    known = column.notna().to_numpy()
    present = column[known]
    values = sorted(present.unique().tolist(), key=_order)
    names = tuple(text_of(value) for value in values)
    name = str(column.name)
    if len(values) < 2:
        raise InputError(
            f"label column {name!r} has {len(values)} classes ({', '.join(names) or 'none'}): "
            "two at least are needed"
        )
    fractional = pd.api.types.is_float_dtype(present) and (present % 1 != 0).any()
    if len(values) > MAX_CLASSES or (fractional and len(values) > 20):
        raise InputError(
            f"label column {name!r} has {len(values)} different values: it looks like a number to "
            "estimate, not a class to decide; cut it into classes first"
        )
    codes = np.zeros(len(column), dtype=np.int64)
    codes[known] = present.map({value: index for index, value in enumerate(values)}).to_numpy()
    if positive is None:
        return codes, names, known
    wanted = positive if isinstance(positive, (list, tuple, set)) else [positive]
    chosen = {text_of(value) for value in wanted}
    absent = chosen - set(names)
    if absent:
        raise InputError(
            f"positive value {', '.join(sorted(absent))!r} is not among the values of label column "
            f"{name!r}: {', '.join(names[:20])}"
            + (" (in YAML, quote yes and no)" if absent & {"True", "False"} else "")
        )
    is_positive = np.array([class_name in chosen for class_name in names])
    if is_positive.all():
        raise InputError(f"every value of label column {name!r} is positive: one must not be")
    binary = is_positive[codes].astype(np.int64)
    yes = " or ".join(class_name for class_name in names if class_name in chosen)
    no = " or ".join(class_name for class_name in names if class_name not in chosen)
    return binary, (no if len(no) <= 40 else f"not {yes}", yes), known


def _order(value: Any) -> tuple[int, float, str]:
    """Numbers by size before texts by alphabet."""
    if isinstance(value, (bool, int, float, np.integer, np.floating)):
        return 0, float(value), ""
    return 1, 0.0, str(value)


def code_groups(
    frame: pd.DataFrame, columns: str | Sequence[str]
) -> tuple[Groups, tuple[str, ...]]:
    """Group columns, crossed where there are several, with notes on what is missing or small.

    Args:
        frame: the table.
        columns: one or more of its columns; a comma separates them in a text.

    Raises:
        InputError: no such column, fewer than two groups, or more than 200.
    """
    names = [part.strip() for part in columns.split(",")] if isinstance(columns, str) else columns
    if isinstance(columns, str) and columns in frame.columns:
        names = [columns]
    values = {}
    for name in names:
        column = column_of(frame, name, "group")
        kept = column.astype(object).where(column.notna(), None)
        values[name] = [None if value is None else text_of(value) for value in kept]
    groups = Groups.crossed(values)
    if groups.number < 2:
        found = ", ".join(groups.names) or "none"
        raise InputError(f"{groups.attribute} has {groups.number} groups ({found}): two are needed")
    if groups.number > MAX_GROUPS:
        raise InputError(
            f"{groups.attribute} has {groups.number} groups, more than {MAX_GROUPS}: it looks like "
            "a number or a name; cut it into groups first"
        )
    notes = []
    missing = int((~groups.known).sum())
    if missing:
        notes.append(
            f"{missing} of {len(groups)} rows have no {groups.attribute}: "
            "they train the task and enter no gap"
        )
    possible = int(
        np.prod([len({v for v in column if v is not None}) for column in values.values()])
    )
    if groups.number < possible:
        notes.append(
            f"{possible - groups.number} of the {possible} crossings of {groups.attribute} "
            "have no row"
        )
    return groups, tuple(notes)
