"""What a pass sums by, and what it sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from evenhand._base.arrays import Float64


@dataclass(frozen=True, eq=False)
class Atoms:
    """The atomic cells of rows; see :mod:`evenhand.heads.streaming.atomic_cells`.

    Attributes:
        of_row: (N,) the atomic cell of each row; ``number`` for rows in none.
        number: how many atomic cells there are, A.
        masses: (N,) what each row counts in all sums; 1 by default.
    """

    of_row: npt.NDArray[Any]
    number: int
    masses: npt.NDArray[Any] | None = None


@dataclass(frozen=True, eq=False)
class Sums:
    """What a pass collects for C heads of m outputs, over all rows that count for each.

    Attributes:
        loss: (C,) sums of the log-loss.
        soft: beta to (A, C, m), the sums of soft decisions in each atomic cell.
        slope: (C, m, d + 1) sums of the log-loss's gradient in the weights, the bias last; empty
            where :meth:`Stream.gradient` is to follow.
        lean: beta to (A, C, d + 1), the derivative of ``soft`` in the weights; likewise, and for
            two classes only.
    """

    loss: Float64
    soft: dict[float, Float64]
    slope: Float64
    lean: dict[float, Float64]

    def __iadd__(self, other: Sums) -> Sums:
        for mine, theirs in zip(self.arrays(), other.arrays(), strict=True):
            mine += theirs
        return self

    def arrays(self) -> list[Float64]:
        """All sums, in a fixed order."""
        return [self.loss, *self.soft.values(), self.slope, *self.lean.values()]
