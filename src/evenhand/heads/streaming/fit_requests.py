"""What a pass is asked to fit, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.head import Head
from evenhand.heads.lbfgs import Minimum


@dataclass(frozen=True)
class FitRequest:
    """One head to fit.

    Attributes:
        part: the rows it is fitted on, by number.
        strength: of the penalty.
        ridge: by number.
    """

    part: int
    strength: float
    ridge: int = 0


@dataclass(frozen=True, eq=False)
class FitOutcome:
    """A head fitted in passes.

    Attributes:
        head: in float64.
        minimum: how its fit ended; in the first process also where.
    """

    head: Head
    minimum: Minimum
