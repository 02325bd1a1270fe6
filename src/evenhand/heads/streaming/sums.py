"""What a pass sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evenhand._base.arrays import Float64


@dataclass(frozen=True, eq=False)
class Sums:
    """What a pass collects for C heads of m outputs, over all rows that count for each.

    Attributes:
        loss: (C,) sums of the log-loss.
        soft: beta to (A, C, m), the sums of soft decisions in each atomic cell.
        slope: (C, m, d + 1) sums of the log-loss's gradient in the weights, the bias last; empty
            where :meth:`Engine.gradient` is to follow.
        lean: beta to (A, C, d + 1), the derivative of ``soft`` in the weights; likewise, and for
            two classes only.
    """

    loss: Float64
    soft: dict[float, Float64]
    slope: Float64
    lean: dict[float, Float64]

    @classmethod
    def nothing(
        cls, heads: tuple[int, ...], number: int, betas: Sequence[float], *, whole: bool
    ) -> Sums:
        """All 0.

        Args:
            heads: (C, m, d + 1), the shape of what is summed for.
            number: of atomic cells, A.
            betas, whole: as :meth:`Engine.sums` is asked.
        """
        columns, m, wide = heads
        soft = {beta: np.zeros((number, columns, m)) for beta in betas}
        leaning = betas if whole else ()
        lean = {beta: np.zeros((number, columns, wide)) for beta in leaning}
        return cls(np.zeros(columns), soft, np.zeros(heads if whole else 0), lean)

    def __iadd__(self, other: Sums) -> Sums:
        for mine, theirs in zip(self.arrays(), other.arrays(), strict=True):
            mine += theirs
        return self

    def arrays(self) -> list[Float64]:
        """All sums, in a fixed order."""
        return [self.loss, *self.soft.values(), self.slope, *self.lean.values()]
