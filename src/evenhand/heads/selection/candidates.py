"""Candidates: heads with their cross-fitted counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from evenhand._base.arrays import Float64, FloatArray, IntArray
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.decisions import Decisions, Given, Judging
from evenhand.heads.spec import HeadSpec

STRENGTHS = (0.0, *np.geomspace(0.03, 100, 17).tolist())
OFFSETS = tuple(np.linspace(-1, 1, 25).tolist())

Criteria = str | Criterion | dict[str | Criterion, float]


@dataclass(frozen=True)
class CandidateGrid:
    """Which candidates there are: paths of strengths, merges with a group's score, offsets.

    Attributes:
        strengths: of the penalty, ascending from 0.
        offsets: of the log-odds, for two classes; 0 is among them.
        forced: the last strength is taken, without choosing.
        every_criterion: the paths of all three criteria are on the menu whatever the rule asks for,
            since the lowest error within a bound on one gap may lie on another's path.
        merged: so are merges (:mod:`evenhand.heads.selection.merges`), for two classes.
        heavier: where a bound is below half of transfer learning's gap, so is a second path at this
            many times the ridge, which follows small gaps less closely; 0 for none.

    Raises:
        InputError: transfer learning is not among them.

    Example:
        >>> eh.heads.CandidateGrid(strengths=(0.0, 0.3, 1.0), offsets=(0.0,)).strengths
        (0.0, 0.3, 1.0)
    """

    strengths: tuple[float, ...] = STRENGTHS
    offsets: tuple[float, ...] = OFFSETS
    forced: bool = False
    every_criterion: bool = True
    merged: bool = True
    heavier: float = 10.0

    def __post_init__(self) -> None:
        if 0 not in self.offsets or not self.strengths or self.strengths[0] != 0:
            raise InputError(
                "candidates must include transfer learning: strengths from 0, and an offset of 0; "
                f"found strengths {tuple(self.strengths)} and offsets {tuple(self.offsets)}"
            )

    @classmethod
    def only(cls, strength: float) -> CandidateGrid:
        """Transfer learning and the one ``strength`` that is to be taken.

        Raises:
            InputError: the strength is negative or not finite.
        """
        if not 0 <= strength < np.inf:
            raise InputError(f"the strength must be finite and at least 0, found {strength}")
        return cls(
            (0.0, float(strength)), forced=True, every_criterion=False, merged=False, heavier=0.0
        )


DEFAULT_GRID = CandidateGrid()


class Refitted(Protocol):
    """A candidate fitted on all rows, of whatever kind: a head, or more of the network."""

    @property
    def head(self) -> Head:
        """The last layer."""
        ...

    @property
    def strength(self) -> float:
        """Of the penalty."""
        ...

    @property
    def converged(self) -> bool:
        """Whether its fit came to an end."""
        ...

    @property
    def trainable_parameters(self) -> int:
        """What was free to move."""
        ...

    def logits(self, inputs: FloatArray) -> FloatArray:
        """(N, K) logits of what it reads: the features, or what lies before them."""
        ...

    def shifted(self, offset: float) -> Refitted:
        """The same with ``offset`` added to the log-odds of the second of two classes."""
        ...


@dataclass(frozen=True, eq=False)
class Candidates:
    """A family: heads at strengths × offsets, with how they decided on held-out rows.

    Everything that is to be chosen among comes as a family, however it was fitted: its counts are
    of rows kept from it, and ``fits`` are what is shipped.

    Attributes:
        strengths: (S,) of the penalty.
        offsets: (O,) added to the log-odds; (0,) for more than two classes.
        tables: (S, O, G, K, K) cross-fitted counts.
        unknown: (S, O, K, K) the same for rows of unknown group.
        fits: S candidates refitted on all rows.
        criteria: what the penalty evened out.
        family: how the candidates were made, such as ``"head"``.
        log_loss: (S,) cross-fitted mean log-loss at offset 0.
        decisions: of every held-out row; they tell how sure a difference in error is, how wide a
            bound must stand, and the error expected of rows whose labels are known in part. None
            where only counts are at hand.
        parts: the same S heads fitted without each fold, fold by fold, and last on all rows; empty
            where candidates were judged otherwise, or are no heads.
        ridge: they were fitted with.
        merges: (S,) what of a group's score was added; all 0 by default.
        given: (S, O, K) how often the candidates fitted on all rows decide each class on them: they
            are what is shipped, and no part's heads. None where that is not known.
        squares: (G, K) of weighted rows, whose sums the tables hold, the sums of their squared
            weights by group and label; None of plain rows.

    Example:
        >>> grid = eh.heads.CandidateGrid(strengths=(0.0, 1.0), offsets=(-0.2, 0.0, 0.2))
        >>> path = eh.heads.crossfit(rows, eh.heads.HeadSpec(ridge=1e-3), "eo", grid=grid)
        >>> path.family, path.fit((1, 2)).head.weight.shape  # strength 1 at an offset of .2
        ('head', (3, 2))
    """

    strengths: tuple[float, ...]
    offsets: tuple[float, ...]
    tables: IntArray
    unknown: IntArray
    fits: tuple[Refitted, ...]
    criteria: Criteria
    family: str
    log_loss: Float64
    decisions: Decisions | None = None
    parts: tuple[tuple[HeadFit, ...], ...] = ()
    ridge: float | None = None
    merges: tuple[float, ...] = ()
    given: IntArray | None = None
    squares: Float64 | None = None

    @classmethod
    def judged(
        cls,
        judging: Judging,
        fits: Sequence[Refitted],
        *,
        criteria: Criteria,
        family: str,
        ridge: float | None = None,
        parts: Sequence[Sequence[HeadFit]] = (),
        merges: tuple[float, ...] = (),
        shipped: Given | None = None,
    ) -> Candidates:
        """A family of what was judged on held-out rows, in every process that shares them.

        Args:
            judging: what each candidate gave for each row, judged without it.
            fits: the candidates fitted on all rows, in the same order.
            criteria, family, ridge, parts, merges: see the attributes.
            shipped: what each of ``fits`` gave for each row.
        """
        decisions = judging.decisions()
        tables, squares = decisions.tables(), decisions.squares()
        return cls(
            tuple(float(fit.strength) for fit in fits),
            decisions.offsets,
            tables[:, :, :-1],
            tables[:, :, -1],
            tuple(fits),
            criteria,
            family,
            judging.log_loss(),
            decisions,
            tuple(tuple(of_part) for of_part in parts),
            ridge,
            merges,
            None if shipped is None else shipped.total(),
            None if squares is None else squares[:-1],
        )

    @property
    def totals(self) -> IntArray:
        """(S, O, K, K) confusion matrices over all rows."""
        totals: IntArray = self.tables.sum(axis=2) + self.unknown
        return totals

    def fit(self, index: tuple[int, int]) -> Refitted:
        """The refitted candidate (strength, offset), the offset moved into its bias."""
        fit = self.fits[index[0]]
        offset = self.offsets[index[1]]
        return fit.shifted(offset) if offset else fit

    def head_fit(self, index: tuple[int, int]) -> HeadFit:
        """The refitted candidate of a family of heads.

        Raises:
            InputError: the family's candidates are no heads.
        """
        fit = self.fit(index)
        if not isinstance(fit, HeadFit):
            raise InputError(f"{self.family!r} are no heads on features")
        return fit


def family_name(spec: HeadSpec) -> str:
    """How candidates made in this way are called."""
    if spec.name is not None:
        return spec.name
    if spec.hidden is not None:
        return f"rank-{spec.rank or 1} adapter + head"
    return "head" if spec.rank is None else f"rank-{spec.rank} head"
