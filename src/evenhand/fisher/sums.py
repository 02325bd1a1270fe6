"""Sums of squared gradients per group: what a group Fisher is made of, and how sums merge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64, IntArray
from evenhand.errors import ArtefactError, InputError

Kind = Literal["empirical", "true"]

Cell = tuple[str | None, int]
"""A group (None: unknown) and a label."""


@dataclass(frozen=True, eq=False)
class GroupFisher:
    """Per-group sums of squared gradients; divided by the counts, they are the importances.

    The sums over two sets of samples add up.

    Attributes:
        row_sums: (G, d) sums over a group's samples of x_i² ||delta||².
        counts: (G,) samples of each group.
        group_names: the G group names.
        unknown: samples whose group is not known; they are in no sum but the Kronecker factors'.
        kind: ``"empirical"`` (the labels given, as the paper) or ``"true"`` (labels expected
            under the model).
        diagonal_sums: (G, d, k) sums of x_i² delta_j², where asked for.
        kronecker: of a head, the factors' sums over all samples, where asked for.
        kronecker_cells: of a hidden layer, those over the samples of each (group, label), where
            asked for; None stands for an unknown group.

    Example:
        >>> morning = eh.GroupFisher(np.array([[6.0, 3.0]]), np.array([3]), ("F",))
        >>> evening = eh.GroupFisher(np.array([[2.0, 1.0]]), np.array([1]), ("F",))
        >>> (morning + evening).importance
        array([[2., 1.]])
    """

    row_sums: Float64
    counts: IntArray
    group_names: tuple[str, ...]
    unknown: int = 0
    kind: Kind = "empirical"
    diagonal_sums: Float64 | None = None
    kronecker: KroneckerSums | None = None
    kronecker_cells: Mapping[Cell, KroneckerSums] | None = None

    def __add__(self, other: GroupFisher) -> GroupFisher:
        """The sums over both sets of samples; a group may be in one of them only.

        Raises:
            InputError: the two are of different layers or kinds, or only one holds the diagonal or
                the Kronecker factors.
        """
        if self.group_names != other.group_names:
            names = tuple(sorted({*self.group_names, *other.group_names}, key=_by_number_or_name))
            return self._with_groups(names) + other._with_groups(names)
        mine = (self.kind, self.row_sums.shape)
        theirs = (other.kind, other.row_sums.shape)
        if mine != theirs:
            raise InputError(f"these Fisher sums are of different things: {mine} and {theirs}")
        for name in ("diagonal_sums", "kronecker", "kronecker_cells"):
            if (getattr(self, name) is None) != (getattr(other, name) is None):
                raise InputError(f"only one of these Fisher sums holds {name}; collect it in both")
        return replace(
            self,
            row_sums=self.row_sums + other.row_sums,
            counts=self.counts + other.counts,
            unknown=self.unknown + other.unknown,
            diagonal_sums=_add(self.diagonal_sums, other.diagonal_sums),
            kronecker=_add(self.kronecker, other.kronecker),
            kronecker_cells=_cells_added(self.kronecker_cells, other.kronecker_cells),
        )

    def _with_groups(self, names: tuple[str, ...]) -> GroupFisher:
        """The same sums in the order of ``names``, zero for groups that are not in them."""
        where = [names.index(name) for name in self.group_names]

        def spread(sums: npt.NDArray[Any]) -> npt.NDArray[Any]:
            wide = np.zeros((len(names), *sums.shape[1:]), dtype=sums.dtype)
            wide[where] = sums
            return wide

        return replace(
            self,
            row_sums=spread(self.row_sums),
            counts=spread(self.counts),
            group_names=names,
            diagonal_sums=None if self.diagonal_sums is None else spread(self.diagonal_sums),
        )

    @property
    def importance(self) -> Float64:
        """(G, d) each group's mean row importance, I_s; NaN for a group without samples."""
        return _means(self.row_sums, self.counts)

    @property
    def pooled(self) -> Float64:
        """(d,) the row importance over all samples of known groups, blind to which group."""
        return _means(self.row_sums.sum(axis=0)[None], self.counts.sum()[None])[0]

    @property
    def diagonal(self) -> Float64:
        """(G, d, k) each group's mean Fisher diagonal.

        Raises:
            InputError: it was not collected.
        """
        if self.diagonal_sums is None:
            raise InputError("the full diagonal was not collected: ask for diagonal=True")
        return _means(self.diagonal_sums, self.counts)

    def save(self, path: str | Path) -> None:
        """Write the sums to a safetensors file with its own hash, all or nothing."""
        from evenhand._base.seals import seal_arrays

        tensors = {"row_sums": self.row_sums, "counts": self.counts}
        if self.diagonal_sums is not None:
            tensors["diagonal_sums"] = self.diagonal_sums
        if self.kronecker is not None:
            tensors |= {
                f"kronecker.{name}": np.asarray(value)
                for name, value in vars(self.kronecker).items()
            }
        names = {f"group.{i}": name for i, name in enumerate(self.group_names)}
        metadata = names | {"kind": self.kind, "unknown": str(self.unknown)}
        for i, (cell, sums) in enumerate((self.kronecker_cells or {}).items()):
            metadata[f"cell.{i}"] = json.dumps(cell)
            tensors |= {f"cell.{i}.{name}": np.asarray(v) for name, v in vars(sums).items()}
        seal_arrays(Path(path), tensors, metadata)

    @classmethod
    def load(cls, path: str | Path) -> GroupFisher:
        """Read what :meth:`save` wrote.

        Raises:
            ArtefactError: the file is not such a file, or damaged.
        """
        from evenhand._base.seals import read_arrays

        tensors, metadata = read_arrays(Path(path))
        try:
            names = tuple(metadata[f"group.{i}"] for i in range(len(tensors["counts"])))
            factors = {
                name.removeprefix("kronecker."): value
                for name, value in tensors.items()
                if name.startswith("kronecker.")
            }
            cells: dict[Cell, KroneckerSums] = {}
            for i in range(sum(name.startswith("cell.") for name in metadata)):
                group, label = json.loads(metadata[f"cell.{i}"])
                own = f"cell.{i}."
                cells[group, label] = KroneckerSums(
                    **{name.removeprefix(own): v for name, v in tensors.items() if own in name}
                )
            return cls(
                tensors["row_sums"],
                tensors["counts"],
                names,
                int(metadata["unknown"]),
                "true" if metadata["kind"] == "true" else "empirical",
                tensors.get("diagonal_sums"),
                KroneckerSums(**factors) if factors else None,
                cells or None,
            )
        except (KeyError, ValueError, TypeError) as error:
            raise ArtefactError(f"{path} holds no group Fisher sums: {error}") from error


@dataclass(frozen=True, eq=False)
class KroneckerSums:
    """Sums for the Kronecker-factored Fisher C ⊗ G, over all samples.

    Attributes:
        inputs: (d, d) sum of x xᵀ.
        outputs: (k, k) of a head, the sum of diag(p) - p pᵀ; of a hidden layer, of g gᵀ, the
            gradients at its outputs.
        total: (d,) sum of x.
        samples: how many, (): of a true Fisher, their labels' shares.
    """

    inputs: Float64
    outputs: Float64
    total: Float64
    samples: npt.NDArray[Any]

    def __add__(self, other: KroneckerSums) -> KroneckerSums:
        return KroneckerSums(
            self.inputs + other.inputs,
            self.outputs + other.outputs,
            self.total + other.total,
            self.samples + other.samples,
        )

    @property
    def input_factor(self) -> Float64:
        """(d, d) C = E[x xᵀ]."""
        return self.inputs / self.samples

    @property
    def output_factor(self) -> Float64:
        """(k, k) G = E[diag(p) - p pᵀ]."""
        return self.outputs / self.samples

    @property
    def mean(self) -> Float64:
        """(d,) E[x]."""
        return self.total / self.samples


def _means(sums: npt.NDArray[Any], counts: npt.NDArray[Any]) -> Float64:
    below = np.expand_dims(counts, tuple(range(1, sums.ndim))).astype(np.float64)
    return np.divide(sums, below, out=np.full(sums.shape, np.nan), where=below > 0)


def _by_number_or_name(name: str) -> tuple[bool, int, str]:
    number = name.removeprefix("-").isdecimal()
    return (not number, int(name) if number else 0, name)


def _cells_added(
    mine: Mapping[Cell, KroneckerSums] | None, theirs: Mapping[Cell, KroneckerSums] | None
) -> Mapping[Cell, KroneckerSums] | None:
    if mine is None or theirs is None:
        return mine
    added = dict(mine)
    for cell, sums in theirs.items():
        added[cell] = added[cell] + sums if cell in added else sums
    return added


def _add(mine: Any, theirs: Any) -> Any:
    return None if mine is None else mine + theirs


def check_kind(kind: str) -> None:
    """Refuse an unknown kind of Fisher.

    Raises:
        InputError: it is neither ``"empirical"`` nor ``"true"``.
    """
    if kind not in ("empirical", "true"):
        raise InputError(f"the Fisher is 'empirical' or 'true', not {kind!r}")
