"""The groups of a Trainer's datasets: codes, or names that become codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from evenhand._base.arrays import IntArray
from evenhand._base.names import name_of
from evenhand.errors import InputError
from evenhand.groups import UNKNOWN, Groups
from evenhand.integrations.trainer_codes import column_values, group_codes, integer_column

LABELS = ("labels", "label", "label_ids")
"""Keys of the label in examples, which no group can have."""

MOST_GROUPS = 10_000
"""Codes that are counted without names: beyond, they are identifiers and no groups."""


class GroupNames:
    """Which names the group codes of a Trainer's datasets have, learnt as they are seen.

    Args:
        key: of the group in examples.
        names: of codes 0, 1, …; None: those of a ClassLabel feature or of strings, or the codes.

    Raises:
        InputError: the label's key, or names that are a text or come twice.
    """

    def __init__(self, key: str, names: Sequence[str] | None) -> None:
        if key in LABELS:
            raise InputError(f"groups={key!r} is the key of the labels: name the groups' own key")
        if isinstance(names, str | bytes):
            raise InputError(f"group_names is a list of names, found the text {names!r}")
        self.key = key
        self.names = None if names is None else tuple(str(name) for name in names)
        twice = [name for name, count in Counter(self.names or ()).items() if count > 1]
        if twice:
            raise InputError(f"group_names holds {twice[0]!r} twice: its rows would be one group's")
        self._given = names is not None
        self._coded: list[Any] = []  # datasets that have codes for names already
        self._grows = False

    def of(self, codes: IntArray) -> tuple[str, ...]:
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
            if highest >= MOST_GROUPS:
                raise InputError(
                    f"{self.key!r} reaches {highest:,}: a group is a code from 0 to "
                    f"{MOST_GROUPS - 1:,}; number the groups without gaps"
                )
            return tuple(str(code) for code in range(highest + 1))
        if highest >= len(self.names):
            raise InputError(
                f"{self.key!r} reaches {highest}, but there are {len(self.names)} group names: "
                f"{', '.join(self.names)}; give a name for each code from 0 to {highest}"
            )
        return self.names

    def code_of(self, value: str | bytes) -> int | None:
        """The code of a group's name; None where no names are known.

        Raises:
            InputError: a name that is not among them.
        """  # noqa: DOC502
        if self.names is None:
            return None
        name = name_of(value)
        self._require_known([name])
        return self.names.index(name)

    def coded(self, dataset: Any) -> Any:
        """``dataset`` with codes as groups; as it is where it has codes, or no groups.

        Several by name are coded each. Names are told apart as everywhere: "F" and "F " are one.

        Raises:
            InputError: a name that is not among the given ones, a ClassLabel that the given names
                contradict, or codes where others were names.
        """
        if dataset is None or isinstance(dataset, str):  # a string names one of several
            return dataset
        if any(dataset is done for done in self._coded):
            return dataset
        if isinstance(dataset, Mapping):
            return {name: self.coded(data) for name, data in dataset.items()}
        features = getattr(dataset, "features", None)
        feature = features.get(self.key) if isinstance(features, Mapping) else None
        named = getattr(feature, "names", None)
        if named is not None:
            return self._of_class_label(dataset, tuple(str(name) for name in named))
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            return dataset
        holds = self._holds(dataset, feature) if len(dataset) else None
        if holds is str:
            return self._with_codes(dataset, self._codes(column_values(dataset, (self.key,))))
        if holds is int and self._grows:
            raise InputError(
                f"{self.key!r} holds codes here and names in the data before: give names in both, "
                "or the names of the codes as group_names"
            )
        return dataset

    def _of_class_label(self, dataset: Any, named: tuple[str, ...]) -> Any:
        """Codes of a ClassLabel, by whose names they are those of the other data."""
        if self.names is None:
            self.names = named
        if named == self.names:
            return dataset
        if not self._given:
            codes = group_codes(column_values(dataset, (self.key,)), self.key)
            names = [named[code] if code >= 0 else None for code in codes]
            return self._with_codes(dataset, self._codes(names))
        if sorted(named) == sorted(self.names):
            raise InputError(
                f"{self.key!r} is a ClassLabel of {', '.join(named)}, in another order than "
                f"group_names, {', '.join(self.names)}: leave group_names out"
            )
        return dataset

    def _with_codes(self, dataset: Any, codes: list[int]) -> Any:
        if hasattr(dataset, "add_column") and hasattr(dataset, "remove_columns"):
            made = dataset.remove_columns(self.key).add_column(self.key, codes)
        else:
            made = _Coded(dataset, self.key, codes)
        self._coded.append(made)
        return made

    def _holds(self, dataset: Any, feature: Any) -> type[str] | type[int] | None:
        """Whether the groups are names or codes; None where there are none."""
        kind = getattr(feature, "dtype", None)
        if kind is not None:
            return str if str(kind) in ("string", "large_string", "binary") else int
        for row in range(len(dataset)):
            example = dataset[row]
            if not isinstance(example, Mapping) or self.key not in example:
                return None
            if example[self.key] is not None:
                return str if isinstance(example[self.key], str | bytes) else int
        return str

    def _codes(self, values: list[Any]) -> list[int]:
        """The codes of names; new ones have one where no names were given."""
        strange = [v for v in values if v is not None and not isinstance(v, str | bytes)]
        if strange:
            raise InputError(
                f"{self.key!r} holds texts and {strange[0]!r}: give names everywhere (None where "
                "the group is not known), or codes everywhere"
            )
        names = [None if value is None else name_of(value) or None for value in values]
        found = sorted({name for name in names if name is not None})
        if self.names is None or self._grows:
            own = self.names or ()
            self.names = (*own, *(name for name in found if name not in own))
            self._grows = True
        self._require_known(found)
        place = {name: code for code, name in enumerate(self.names)} | {None: UNKNOWN}
        return [place[name] for name in names]

    def _require_known(self, found: Sequence[str]) -> None:
        names = self.names or ()
        strangers = [name for name in found if name not in names]
        if strangers:
            raise InputError(
                f"{self.key!r} holds {strangers[0]!r}, which is not among the group names "
                f"{', '.join(names)}"
            )


def require_both(groups: Any, labels: Any, keys: Sequence[str]) -> None:
    """Refuse a batch without groups or labels.

    Args:
        groups, labels: of the batch; None where there are none.
        keys: that of the groups, and then those of the batch.

    Raises:
        InputError: it says which of the two.
    """
    if groups is None or labels is None:
        missing = keys[0] if groups is None else LABELS[0]
        raise InputError(
            f"a training batch has no {missing!r}; its keys are {', '.join(keys[1:])}. Give each "
            "example an integer under that key, and a collator that keeps it (most leave texts "
            "out: name those of a stream by group_names)"
        )


def training_rows(
    data: Any, names: GroupNames, outputs: int | None
) -> tuple[IntArray, Groups, tuple[str, ...]]:
    """The labels and groups of a training set, and the names of its classes.

    Args:
        data: the training set, its groups codes.
        names: of the codes.
        outputs: how many classes the model tells apart, where it says so.

    Raises:
        InputError: labels or groups that are no codes, or of a class that the model does not have.
    """
    labels = integer_column(data, LABELS)
    codes = group_codes(column_values(data, (names.key,)), names.key)
    highest = int(labels.max(initial=0))
    if outputs is not None and highest >= outputs:
        raise InputError(
            f"labels reach {highest:,}, but the model tells {outputs} classes apart: number the "
            f"classes from 0 to {outputs - 1}"
        )
    classes = tuple(str(k) for k in range(max(2, highest + 1)))
    return labels, Groups(codes, names.of(codes), names.key), classes


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
