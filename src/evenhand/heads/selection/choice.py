"""What was chosen, and what can be said of it."""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.criteria import Criterion
from evenhand.heads.selection.soundness import Mask


@dataclass(frozen=True, eq=False)
class Choice:
    """What was chosen, and what can be said of it; all figures are cross-fitted.

    Attributes:
        family: index of the chosen :class:`Candidates`; None where the old head is kept.
        index: (strength, offset) within them.
        promised: every bound holds with the confidence asked; None where none was asked.
        reason: why, in a sentence.
        error: of the choice, in %.
        cost: points of error over transfer learning with its threshold tuned.
        accuracy: of the choice, in %.
        constant_accuracy: of always deciding the most frequent label, in %.
        tuned: (strength, offset), in the first family, of transfer learning with its threshold
            tuned.
        gaps, uppers: figure and its bound (upper of a gap, lower of a level) over the groups that
            count, by criterion.
        counted: (G,) which groups have the rows to count, by criterion.
        floors: the upper bound that decisions as often as transfer learning's would have if their
            gap were 0, by criterion.
        attainable: the best bound that could be promised, by criterion; infinite where none.
        levels_down: it makes every group worse than transfer learning does.
        old_ignored: why the old head was nothing to compare with; None where it was, or where
            there is none.
        z: the critical value used.
    """

    family: int | None
    index: tuple[int, int] | None
    promised: bool | None
    reason: str
    error: float
    cost: float
    accuracy: float
    constant_accuracy: float
    tuned: tuple[int, int]
    gaps: dict[Criterion, float]
    uppers: dict[Criterion, float]
    counted: dict[Criterion, Mask]
    floors: dict[Criterion, float]
    attainable: dict[Criterion, float]
    levels_down: bool
    old_ignored: str | None
    z: float

    @property
    def kept_old(self) -> bool:
        """Whether the old head was kept."""
        return self.family is None
