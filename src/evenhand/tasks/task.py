"""What a task is: labelled examples with groups, already split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from evenhand._base.arrays import IntArray
from evenhand._base.columns import column, rows
from evenhand._base.text import listed
from evenhand.errors import InputError
from evenhand.groups import Groups, as_groups
from evenhand.tasks.raw import Raw
from evenhand.weights import Weights


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled examples as a model reads them.

    Attributes:
        inputs: N inputs: an (N, inputs) array for a table, a sequence of images or texts otherwise.
        labels: (N,) integers in [0, K).
        groups: the group of every example.
        weights: what each example counts, in all that is fitted and counted; 1 by default.

    pandas, polars and Arrow objects are read by position, whatever their index.

    Example:
        >>> sexes = eh.Groups.from_values(["F", "M", "F"], "sex")
        >>> len(eh.tasks.Examples(np.zeros((3, 2)), np.array([0, 1, 1]), sexes))
        3
    """

    inputs: Any
    labels: IntArray
    groups: Groups
    weights: Weights | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", rows(self.inputs, "inputs"))
        object.__setattr__(self, "groups", as_groups(self.groups))
        object.__setattr__(self, "labels", column(self.labels, "labels"))
        lengths = {
            "inputs": len(self.inputs),
            "labels": len(self.labels),
            "groups": len(self.groups),
        }
        if self.weights is not None:
            lengths["weights"] = len(self.weights)
        if len(set(lengths.values())) > 1:
            raise InputError(f"{listed(lengths)} differ in length: {lengths}")
        labels = self.labels
        if labels.size and labels.dtype.kind not in "iub":
            raise InputError(f"labels must be integers in [0, K), found dtype {labels.dtype}")
        object.__setattr__(self, "labels", labels.astype("int64"))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Any) -> Examples:
        """The examples with these row numbers."""
        weights = None if self.weights is None else self.weights[rows]
        return Examples(self.inputs[rows], self.labels[rows], self.groups[rows], weights)


@dataclass(frozen=True, eq=False)
class Task:
    """A classification task with demographic groups, split into train, valid and test.

    Attributes:
        name: what the results call it.
        classes: the K class names; for two classes the second is the positive one.
        label: the name of what is predicted, such as ``"income"``.
        train, valid, test: fit on the first, choose on the second, report the third.
        pretrain: rows a model may be pre-trained on, where the task brings its own.
        fingerprint: sha256 of the data and the split; artefacts made from the task carry it.
        notes: what the reader of the numbers should know (dropped rows, missing groups, …).
        raw: what makes an input of a raw row, so that a model can decide new ones; None where the
            task was made of arrays.

    Example:
        >>> task = eh.tasks.adult(group="race")
        >>> task.label, task.classes, task.attribute
        ('income', ('<=50K', '>50K'), 'race')
        >>> {name: len(part) for name, part in task.splits.items()}
        {'pretrain': 18431, 'train': 12287, 'valid': 5000, 'test': 10315}
    """

    name: str
    classes: tuple[str, ...]
    label: str
    train: Examples
    valid: Examples
    test: Examples
    fingerprint: str
    pretrain: Examples | None = None
    notes: tuple[str, ...] = field(default=())
    raw: Raw | None = None

    @property
    def attribute(self) -> str:
        """What the groups are groups of."""
        return self.train.groups.attribute

    @property
    def splits(self) -> dict[str, Examples]:
        """The splits by name, in order; ``pretrain`` only where there is one."""
        named = {"pretrain": self.pretrain, "train": self.train, "valid": self.valid}
        return {name: part for name, part in (named | {"test": self.test}).items() if part}
