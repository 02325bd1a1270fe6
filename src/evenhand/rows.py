"""Rows: what every step after the backbone sees — features, labels and groups, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evenhand._base.arrays import FloatArray, IntArray, integers_below, require_unmasked
from evenhand._base.distributed import ALONE, World
from evenhand._base.text import listed
from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.weights import Weights

PROCESSOR = "cpu"


@dataclass(frozen=True, eq=False)
class Rows:
    """A set of labelled rows.

    Attributes:
        features: (N, d) floats, the inputs of the head (any float dtype, may be memory-mapped).
        labels: (N,) integers in [0, K).
        groups: the group of every row.
        classes: the K class names; for two classes the second is the positive one.
        world: the processes that share the rows, each with a part of them (of any size, none
            included); whatever is fitted, counted or chosen on them is the same in all.
        weights: what each row counts, in all that is fitted and counted; 1 by default.
        device: where heads are fitted on them, where they are many: ``"cuda"``, ``"cuda:1"``, or
            ``"auto"``, the GPU where there is one. The features are copied there once, and kept
            there while these rows are in use (change no numbers below them); where they do not
            fit, and by default, heads are fitted on the processor.

    Example:
        >>> sexes = eh.Groups.from_values(["F", "M", "F"], "sex")
        >>> rows = eh.heads.Rows(np.zeros((3, 2)), np.array([0, 1, 1]), sexes, ("no", "yes"))
        >>> len(rows), len(rows[:2])
        (3, 2)
    """

    features: FloatArray
    labels: IntArray
    groups: Groups
    classes: tuple[str, ...]
    world: World = ALONE
    weights: Weights | None = None
    device: str = PROCESSOR

    def __post_init__(self) -> None:
        require_unmasked(self.features, "features")
        if np.ndim(self.features) != 2:
            raise InputError(f"features must have shape (N, d), found {np.shape(self.features)}")
        if self.features.dtype.kind not in "biuf":
            raise InputError(f"features must be numbers, found dtype {self.features.dtype}")
        lengths = {
            "features": len(self.features),
            "labels": len(self.labels),
            "groups": len(self.groups),
        }
        if self.weights is not None:
            lengths["weights"] = len(self.weights)
        if len(set(lengths.values())) > 1:
            raise InputError(f"{listed(lengths)} differ in length: {lengths}")
        labels = integers_below(self.labels, len(self.classes), "labels")
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Any) -> Rows:
        return replace(
            self,
            features=self.features[rows],
            labels=self.labels[rows],
            groups=self.groups[rows],
            weights=None if self.weights is None else self.weights[rows],
        )

    @property
    def counting(self) -> Weights | None:
        """The weights as counts take them: they sum to the effective rows of all processes."""
        return None if self.weights is None else self.weights.counting(self.world)

    @property
    def total_weight(self) -> float:
        """The sum of the weights over all processes; how many rows there are without."""
        own = len(self) if self.weights is None else self.weights.values.sum()
        return float(self.world.sum(np.array([own], dtype=np.float64))[0])

    def with_features(self, features: FloatArray) -> Rows:
        """The same rows seen through other features."""
        return replace(self, features=features)

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
            self.world,
            self._weights_with(other),
            self.device,
        )

    def _weights_with(self, other: Rows) -> Weights | None:
        if self.weights is None and other.weights is None:
            return None
        mine, theirs = (
            Weights(np.ones(len(one)), np.ones(len(one))) if one.weights is None else one.weights
            for one in (self, other)
        )
        return mine + theirs
