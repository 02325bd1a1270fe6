"""Rows: what every step after the backbone sees — features, labels and groups, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.errors import InputError
from evenhand.groups import Groups, IntArray

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Rows:
    """A set of labelled rows.

    Attributes:
        features: (N, d) floats, the inputs of the head (any float dtype, may be memory-mapped).
        labels: (N,) integers in [0, K).
        groups: the group of every row.
        classes: the K class names; for two classes the second is the positive one.
    """

    features: FloatArray
    labels: IntArray
    groups: Groups
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.features.ndim != 2:
            raise InputError(f"features must have shape (N, d), found {self.features.shape}")
        lengths = {
            "features": len(self.features),
            "labels": len(self.labels),
            "groups": len(self.groups),
        }
        if len(set(lengths.values())) > 1:
            raise InputError(f"features, labels and groups differ in length: {lengths}")
        labels = np.asarray(self.labels)
        if labels.size and not np.issubdtype(labels.dtype, np.integer):
            raise InputError(f"labels must be integers in [0, K), found dtype {labels.dtype}")
        if labels.size and (labels.min() < 0 or labels.max() >= len(self.classes)):
            raise InputError(
                f"labels must lie in [0, {len(self.classes)}) for classes {self.classes}, "
                f"found {labels.min()} to {labels.max()}"
            )
        object.__setattr__(self, "labels", labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Any) -> Rows:
        return Rows(self.features[rows], self.labels[rows], self.groups[rows], self.classes)

    def with_features(self, features: FloatArray) -> Rows:
        """The same rows seen through other features."""
        return Rows(features, self.labels, self.groups, self.classes)

    def __add__(self, other: Rows) -> Rows:
        """These rows followed by ``other``'s.

        Raises:
            InputError: their groups or classes have other names.
        """
        mine = (self.groups.names, self.classes)
        theirs = (other.groups.names, other.classes)
        if mine != theirs:
            raise InputError(f"rows of other groups or classes cannot be joined: {mine}, {theirs}")
        groups = Groups(
            np.concatenate([self.groups.codes, other.groups.codes]),
            self.groups.names,
            self.groups.attribute,
        )
        return Rows(
            np.concatenate([self.features, other.features]),
            np.concatenate([self.labels, other.labels]),
            groups,
            self.classes,
        )
