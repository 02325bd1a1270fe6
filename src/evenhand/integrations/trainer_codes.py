"""Columns of a Trainer's datasets and batches, and the groups in them, as integer codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from evenhand._base.arrays import IntArray
from evenhand.errors import InputError
from evenhand.groups import UNKNOWN

LARGEST = 2**53
"""Whole numbers below it are the same as floats."""


class GroupCollator:
    """A collator whose examples' groups are whole numbers by the time it sees them.

    Args:
        collator: the Trainer's own.
        key: of the group in examples.
        code_of: from a group's name to its code; None where the names are not known.
    """

    def __init__(
        self, collator: Callable[[Any], Any], key: str, code_of: Callable[[Any], int | None]
    ) -> None:
        self.collator, self.key, self.code_of = collator, key, code_of

    def __call__(self, examples: list[Any]) -> Any:
        """The batch of the collator, None and NaN as -1 in it.

        Raises:
            InputError: groups that are no codes, or texts that the collator does not take.
        """  # noqa: DOC501 - what the collator raises passes
        coded = [self._coded(example) for example in examples]
        try:
            return self.collator(coded)
        except (TypeError, ValueError, RuntimeError) as error:
            if any(isinstance(self._group(example), str | bytes) for example in coded):
                raise InputError(
                    f"{self.key!r} holds texts in a stream, of which not all can be known before "
                    "it is read: give them as group_names"
                ) from error
            raise

    def _group(self, example: Any) -> Any:
        return example.get(self.key) if isinstance(example, Mapping) else None

    def _coded(self, example: Any) -> Any:
        if not isinstance(example, Mapping) or self.key not in example:
            return example
        value = example[self.key]
        if isinstance(value, str | bytes):
            code = self.code_of(value)
            return example if code is None else {**example, self.key: code}
        return {**example, self.key: int(group_codes([value], self.key)[0])}


def group_codes(values: Any, key: str) -> IntArray:
    """(N,) codes of N groups, -1 for None and NaN.

    Args:
        values: whole numbers of any type.
        key: their name, for the error.

    Raises:
        InputError: something else; what was found is told.
    """  # noqa: DOC502
    found = values if isinstance(values, np.ndarray) else _array(list(values))
    if found.ndim == 1 and np.issubdtype(found.dtype, np.floating):
        whole = np.where(np.isnan(found), UNKNOWN, found)
        if (whole == np.round(whole)).all() and (np.abs(whole) < LARGEST).all():
            found = whole.astype(np.int64)
    return _integers(found, key, " (-1: unknown group) or its name")


def _array(values: list[Any]) -> np.ndarray:
    """Values of any library as one array; NaN for None where all others are numbers."""
    plain = [value.tolist() if hasattr(value, "tolist") else value for value in values]
    numbers = [np.nan if value is None else value for value in plain]
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers):
        huge = any(isinstance(v, int) and abs(v) >= LARGEST for v in numbers)
        return np.array(numbers, dtype=object if huge else None)
    try:
        return np.asarray(plain)
    except ValueError:  # lists of several lengths
        return np.array([*plain, None], dtype=object)[:-1]


def integer_column(data: Any, keys: Sequence[str]) -> IntArray:
    """(N,) one integer column of a dataset.

    Raises:
        InputError: an example without it, or one that is no integer.
    """  # noqa: DOC502
    return _integers(_array(column_values(data, keys)), keys[0], "")


def _integers(found: np.ndarray, key: str, more: str) -> IntArray:
    if found.shape == (0,):
        return np.zeros(0, dtype=np.int64)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise InputError(
            f"{key!r} must be one integer for each example{more}, found {found.dtype} of shape "
            f"{found.shape}"
        )
    return found.astype(np.int64)


def column_values(data: Any, keys: Sequence[str]) -> list[Any]:
    """One column of a dataset, under the first of ``keys`` it has.

    Read without the other columns where it can be.

    Raises:
        InputError: an example without any of them.
    """  # noqa: DOC502
    columns = getattr(data, "column_names", None)
    key = next((key for key in keys if key in columns), None) if columns else None
    if key is not None:
        return list(data[key])
    return [_value(data[row], row, keys) for row in range(len(data))]


def _value(example: Any, row: int, keys: Sequence[str]) -> Any:
    for key in keys:
        if key in example:
            return example[key]
    raise InputError(
        f"example {row} of the training set has no {keys[0]!r}; its keys are {', '.join(example)}"
    )
