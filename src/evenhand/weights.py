"""Weights: how much each row counts, and how sure that leaves one.

A weighted figure is that of the rows repeated as often as their weights say. How sure it is, is
another question. Weights of a survey stand for people who were not asked: n rows of weights w know
as much as Kish's (sum w)² / sum w² rows of equal weight do (Kish, Survey Sampling, 1965). Weights
that are frequencies stand for rows that were seen, and know as much as those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64
from evenhand._base.distributed import ALONE, World
from evenhand._base.weight_kinds import KINDS
from evenhand.errors import InputError


@dataclass(frozen=True, eq=False)
class Weights:
    """What each row counts.

    Attributes:
        values: (N,) floats, finite and at least 0.
        squares: (N,) what each adds to the sum that the effective rows are told by,
            ``values.sum()**2 / squares.sum()``: the squared weight of a survey, the weight itself
            of a frequency.

    Example:
        >>> weights = eh.Weights.of([1.0, 3.0, 3.0])
        >>> round(weights.effective(), 2)
        2.58
        >>> eh.Weights.of([1, 3, 3], "frequency").effective()
        7.0
    """

    values: Float64
    squares: Float64

    @classmethod
    def of(cls, values: Any, kind: str = "survey", name: str = "sample_weight") -> Weights:
        """Weights of rows, after checking them.

        Args:
            values: (N,) numbers, finite and at least 0, one above it.
            kind: ``"survey"``, a row stands for others that were not seen, or ``"frequency"``, for
                others that were.
            name: what they are called where they are refused.

        Raises:
            InputError: another shape, a weight that is negative or not finite, only zeros, or
                another kind.
        """
        require_kind(kind)
        if isinstance(values, Weights):
            return values
        try:
            found = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} must be numbers: {error}") from error
        if found.ndim != 1:
            raise InputError(f"{name} must have shape (N,), found {found.shape}")
        for wrong, what in (
            (np.isnan(found), "missing (NaN)"),
            (np.isinf(found), "infinite"),
            (found < 0, "negative"),
        ):
            if wrong.any():
                raise InputError(
                    f"{name} is {what} in {int(wrong.sum()):,} of {len(found):,} rows, the first "
                    f"of them row {int(wrong.argmax()) + 1:,}; a weight is finite and at least 0"
                )
        if len(found) and not found.any():
            raise InputError(f"{name} is zero in all {len(found):,} rows: nothing is left to count")
        return cls(found, found.copy() if kind == "frequency" else found**2)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> Weights:
        return Weights(self.values[rows], self.squares[rows])

    def __add__(self, other: Weights) -> Weights:
        return Weights(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.squares, other.squares]),
        )

    def effective(self, world: World = ALONE) -> float:
        """Of how many rows of equal weight a share of all of them is as sure."""
        total, squares = self._sums(world)
        return total**2 / squares if squares else 0.0

    def counting(self, world: World = ALONE) -> Weights:
        """The same weights scaled so that they sum to the effective rows.

        Shares are what they were, and every count that follows is one of rows as sure as that.
        """
        total, squares = self._sums(world)
        scale = total / squares if squares else 1.0
        return Weights(self.values * scale, self.squares * scale**2)

    def _sums(self, world: World) -> tuple[float, float]:
        sums = world.sum(np.array([self.values.sum(), self.squares.sum()]))
        return float(sums[0]), float(sums[1])


def require_kind(kind: str) -> None:
    """Refuse another kind of weights.

    Raises:
        InputError: it is neither ``"survey"`` nor ``"frequency"``.
    """
    if kind not in KINDS:
        raise InputError(
            f"weights are of kind 'survey' (a row stands for others that were not seen) or "
            f"'frequency' (for others that were), not {kind!r}"
        )


def sums_by(
    cells: npt.NDArray[Any], number: int, weights: Weights | None
) -> tuple[Float64, Float64]:
    """(C,) sums of the rows' weights in each of ``number`` cells, and of their squares."""
    if weights is None:
        rows = np.bincount(cells, minlength=number).astype(np.float64)
        return rows, rows
    return (
        np.bincount(cells, weights.values, number).astype(np.float64),
        np.bincount(cells, weights.squares, number).astype(np.float64),
    )


def effective_rows(sums: npt.NDArray[Any], squares: npt.NDArray[Any]) -> Float64:
    """Kish's effective rows of sums of weights and of squares; 0 where there are none."""
    sums, squares = np.asarray(sums, np.float64), np.asarray(squares, np.float64)
    return np.divide(sums**2, squares, out=np.zeros(sums.shape), where=squares > 0)
