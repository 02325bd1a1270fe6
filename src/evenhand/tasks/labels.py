"""Columns to labels and groups: text or numbers, two classes or more, missing values counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evenhand._base.arrays import IntArray
from evenhand._base.names import in_order, is_fractional, name_of
from evenhand._base.out_of_scope import REGRESSION
from evenhand._base.text import listed
from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.tasks.missing import Missing
from evenhand.tasks.read_table import named

MAX_CLASSES = 1000


MAX_GROUPS = 200
MAX_NUMBERS = 20


MOST_FRACTIONAL = 20
"""More values than this, most of them not whole, are numbers and not classes."""


def column_of(frame: pd.DataFrame, name: str, role: str) -> pd.Series[Any]:
    """The column ``name``.

    Raises:
        InputError: no such column; the message lists what there is.
    """
    if name not in frame.columns:
        shown = listed(map(str, frame.columns))
        raise InputError(f"there is no {role} column {name!r}; the columns are {shown}")
    column: pd.Series[Any] = frame[name]
    return column


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
    names_of_rows = named(column, Missing())
    known = names_of_rows.notna().to_numpy()
    names = tuple(in_order(names_of_rows[known].unique().tolist()))
    name = str(column.name)
    if len(names) < 2:
        raise InputError(
            f"label column {name!r} has {len(names)} classes ({listed(names) or 'none'}): "
            "two at least are needed"
        )
    fractional = sum(map(is_fractional, names))
    if len(names) > MAX_CLASSES or (len(names) > MOST_FRACTIONAL and fractional > len(names) / 2):
        raise InputError(
            f"label column {name!r} has {len(names)} different values: it looks like a number to "
            f"estimate, not a class to decide; {REGRESSION}"
        )
    codes = np.zeros(len(column), dtype=np.int64)
    places = {class_name: code for code, class_name in enumerate(names)}
    codes[known] = names_of_rows[known].map(places).to_numpy()
    if positive is None:
        return codes, names, known
    wanted = positive if isinstance(positive, (list, tuple, set)) else [positive]
    chosen = {name_of(value) for value in wanted}
    absent = chosen - set(names)
    if absent:
        raise InputError(
            f"positive value {listed(sorted(absent))!r} is not among the values of label column "
            f"{name!r}: {listed(names)}"
            + (" (in YAML, quote yes and no)" if absent & {"True", "False"} else "")
        )
    is_positive = np.array([class_name in chosen for class_name in names])
    if is_positive.all():
        raise InputError(f"every value of label column {name!r} is positive: one must not be")
    binary = is_positive[codes].astype(np.int64)
    yes = " or ".join(class_name for class_name in names if class_name in chosen)
    no = " or ".join(class_name for class_name in names if class_name not in chosen)
    return binary, (no if len(no) <= 40 else f"not {yes}", yes), known


class GroupColumns(tuple[str, ...]):
    """Group columns whose numbers are cut.

    Attributes:
        bins: ascending; the groups are below the first, from each to the next, and from the last.
    """

    bins: tuple[float, ...]

    def __new__(cls, names: Sequence[str], bins: Sequence[float]) -> GroupColumns:
        """Columns called ``names``, those of numbers cut at ``bins``."""
        made = super().__new__(cls, names)
        made.bins = tuple(float(one) for one in bins)
        return made

    @property
    def intervals(self) -> tuple[str, ...]:
        """The names of the groups that the bins make."""
        cuts = [f"{one:g}" for one in self.bins]
        inner = [f"{low} to below {high}" for low, high in pairwise(cuts)]
        return (f"below {cuts[0]}", *inner, f"{cuts[-1]} and above")


def group_columns(groups: str | Sequence[str], present: Sequence[Any]) -> Sequence[str]:
    """The group columns named by ``groups``, with their bins; a comma separates them in a text.

    Args:
        groups: one or more names.
        present: the columns there are, of which one may itself have a comma in its name.

    Raises:
        InputError: there is none.
    """
    if isinstance(groups, int):  # as pandas calls columns without names
        return [str(groups)]
    if groups is None:
        raise InputError(f"groups: give one or more of the columns {listed(map(str, present))}")
    if not isinstance(groups, str):
        if any(isinstance(name, int) for name in groups):
            return [str(name) for name in groups]
        return groups  # as they were given: GroupColumns say where numbers are cut
    return [groups] if groups in present else [part.strip() for part in groups.split(",")]


def _cut(
    name: str, texts: list[str | None], cut: GroupColumns | None
) -> tuple[list[str | None], list[str]]:
    """A group column with its numbers cut, and how; a long column of numbers is not left as it is.

    Raises:
        InputError: more than 20 different numbers, and no bins.
    """
    found = {text for text in texts if text is not None}
    try:
        numbers = {text: float(text) for text in found}
    except ValueError:
        return texts, []
    if not all(map(math.isfinite, numbers.values())):
        return texts, []
    if cut is None and len(numbers) <= MAX_NUMBERS:
        return texts, []
    if cut is None:
        given = [numbers[text] for text in texts if text is not None]
        quarters = sorted({float(f"{q:.3g}") for q in np.quantile(given, [0.25, 0.5, 0.75])})
        raise InputError(
            f"group column {name!r} has {len(numbers):,} different numbers: give bins to cut them "
            f"at, such as bins: [{', '.join(f'{q:g}' for q in quarters)}]"
        )
    intervals = cut.intervals
    place = {
        text: int(np.searchsorted(cut.bins, value, "right")) for text, value in numbers.items()
    }
    sizes = np.bincount([place[text] for text in texts if text], minlength=len(intervals))
    told = listed(f"{one} ({size:,})" for one, size in zip(intervals, sizes, strict=True))
    return [None if text is None else intervals[place[text]] for text in texts], [
        f"{name} is cut into {told}"
    ]


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
    bins = columns if isinstance(columns, GroupColumns) else None
    values, notes = {}, []
    for name in group_columns(columns, list(frame.columns)):
        texts = named(column_of(frame, name, "group"), Missing()).tolist()
        values[name], note = _cut(name, texts, bins)
        notes += note
    if bins and not notes:
        raise InputError(f"bins cut numbers, and none of {listed(values)} has numbers only")
    groups = Groups.crossed(values)
    if groups.number < 2:
        found = listed(groups.names) or "none"
        raise InputError(f"{groups.attribute} has {groups.number} groups ({found}): two are needed")
    if groups.number > MAX_GROUPS:
        raise InputError(
            f"{groups.attribute} has {groups.number} groups, more than {MAX_GROUPS}: it looks like "
            "a number or a name; cut it into groups first"
        )
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
