"""The groups of a Trainer's datasets: codes, or names that become codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from evenhand.errors import InputError
from evenhand.groups import UNKNOWN


class GroupNames:
    """Which names the group codes of a Trainer's datasets have, learnt as they are seen.

    Args:
        key: of the group in examples.
        names: of codes 0, 1, …; None: those of a ClassLabel feature or of strings, or the codes.
    """

    def __init__(self, key: str, names: Sequence[str] | None) -> None:
        self.key = key
        self.names = None if names is None else tuple(str(name) for name in names)
        self._learnt = False

    def of(self, codes: np.ndarray) -> tuple[str, ...]:
        """Names of all codes; the codes themselves where there are no names.

        Raises:
            InputError: codes without a name, or below -1.
        """
        lowest, highest = int(codes.min(initial=0)), int(codes.max(initial=UNKNOWN))
        if lowest < UNKNOWN:
            raise InputError(
                f"{self.key!r} holds {lowest}: a group is a code from 0 on, or -1 where it is "
                "not known"
            )
        if self.names is None:
            return tuple(str(code) for code in range(highest + 1))
        if highest >= len(self.names):
            raise InputError(
                f"{self.key!r} reaches {highest}, but there are {len(self.names)} group names: "
                f"{', '.join(self.names)}; give a name for each code from 0 to {highest}"
            )
        return self.names

    def coded(self, dataset: Any) -> Any:
        """``dataset`` with codes as groups; as it is where it has codes, or no groups.

        Several by name are coded each.

        Raises:
            InputError: a name that is not among the given ones.
        """  # noqa: DOC502
        if dataset is None or isinstance(dataset, str):  # a string names one of several
            return dataset
        if isinstance(dataset, Mapping):
            return {name: self.coded(data) for name, data in dataset.items()}
        features = getattr(dataset, "features", None)
        feature = features.get(self.key) if isinstance(features, Mapping) else None
        named = getattr(feature, "names", None)
        if named is not None:
            if self.names is None:
                self.names = tuple(str(name) for name in named)
            return dataset
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            return dataset
        if not len(dataset) or not self._holds_names(dataset, feature):
            return dataset
        values = column_values(dataset, (self.key,))
        codes = [self._code(value) for value in self._known(values)]
        if hasattr(dataset, "add_column") and hasattr(dataset, "remove_columns"):
            return dataset.remove_columns(self.key).add_column(self.key, codes)
        return _Coded(dataset, self.key, codes)

    def _holds_names(self, dataset: Any, feature: Any) -> bool:
        kind = getattr(feature, "dtype", None)
        if kind is not None:
            return str(kind) in ("string", "large_string")
        for row in range(len(dataset)):
            example = dataset[row]
            if not isinstance(example, Mapping) or self.key not in example:
                return False
            if example[self.key] is not None:
                return isinstance(example[self.key], str)
        return True

    def _known(self, values: list[Any]) -> list[str | None]:
        """The values as names, after which every one of them has a code."""
        strange = [value for value in values if value is not None and not isinstance(value, str)]
        if strange:
            raise InputError(
                f"{self.key!r} holds texts and {strange[0]!r}: give names everywhere (None where "
                "the group is not known), or codes everywhere"
            )
        found = sorted({value for value in values if value is not None})
        if self.names is None or self._learnt:
            own = self.names or ()
            self.names = (*own, *(name for name in found if name not in own))
            self._learnt = True
        strangers = [name for name in found if name not in self.names]
        if strangers:
            raise InputError(
                f"{self.key!r} holds {strangers[0]!r}, which is not among the group names "
                f"{', '.join(self.names)}"
            )
        return values

    def _code(self, name: str | None) -> int:
        return UNKNOWN if name is None else (self.names or ()).index(name)


class _Coded(torch.utils.data.Dataset[Any]):
    """A dataset whose groups' names are codes."""

    def __init__(self, dataset: Any, key: str, codes: list[int]) -> None:
        self.dataset, self.key, self.codes = dataset, key, codes

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {**self.dataset[row], self.key: self.codes[row]}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[row] for row in range(len(self)))


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


def integer_column(data: Any, keys: Sequence[str]) -> np.ndarray:
    """(N,) one integer column of a dataset.

    Raises:
        InputError: an example without it, or one that is no integer.
    """
    found = np.asarray(column_values(data, keys))
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise InputError(
            f"{keys[0]!r} must be one integer for each example (-1: unknown group), found "
            f"{found.dtype} of shape {found.shape}; give codes, and their names as group_names"
        )
    return found.astype(np.int64)


def _value(example: Any, row: int, keys: Sequence[str]) -> Any:
    for key in keys:
        if key in example:
            return example[key]
    raise InputError(
        f"example {row} of the training set has no {keys[0]!r}; its keys are {', '.join(example)}"
    )
