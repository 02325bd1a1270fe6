"""One way of grouping the rows of an audit, and what is kept back of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evenhand.metrics.counts import Counts


@dataclass(frozen=True, eq=False)
class Grouping:
    """One group column, or one crossing of several.

    Attributes:
        counts: group × label × prediction.
        values: further columns of the group table, (G,) each: ``auc`` and ``calibration``.
        above: (G,) rows with a score above the median of all rows; None without scores.
    """

    counts: Counts
    values: dict[str, npt.NDArray[np.float64]]
    above: npt.NDArray[np.int64] | None

    def without_small(self, below: int) -> tuple[Grouping, int]:
        """The part without groups too small to show, and how many were left out.

        A group is left out if it, or one of its label cells that is not empty, holds fewer than
        ``below`` rows; and the next smallest until the rows left out, with those of unknown
        group, are at least ``below`` together, so that they cannot be had by subtraction.
        """
        counts = self.counts
        cells = counts.cells
        small = (counts.sizes < below) | ((cells > 0) & (cells < below)).any(axis=1)
        unknown = int(counts.unknown.sum())
        for g in np.argsort(counts.sizes, kind="stable"):
            if not small.any() or counts.sizes[small].sum() + unknown >= below:
                break
            small[g] = True
        kept = ~small
        names = tuple(n for n, keep in zip(counts.group_names, kept, strict=True) if keep)
        hidden = counts.unknown + counts.table[small].sum(axis=0)
        shown = Counts(counts.table[kept], hidden, names, counts.class_names, counts.attribute)
        values = {name: column[kept] for name, column in self.values.items()}
        above = None if self.above is None else self.above[kept]
        return Grouping(shown, values, above), int(small.sum())
