"""Rows as the heads of each fold read them: through a model that was trained without the fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evenhand._base.arrays import IntArray
from evenhand.head import Head
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.candidates import Criteria
from evenhand.heads.selection.parts import fit_on
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.heads.streaming.folds import Folds, held_out
from evenhand.rows import Rows


@dataclass(frozen=True, eq=False)
class Views:
    """All development rows, as each fold's model sees them and as the one does that is shipped.

    Features that were adapted on rows look better there than on others. A fold's heads are fitted
    on the other folds' rows and judged on its own, both as the fold's model sees them.

    Attributes:
        whole: as the model sees them that was trained on all.
        folds: (N,) the fold of each row.
        without: of each fold all rows, as the model sees them that was trained without it.
        heads: those that the models were trained with, of each fold and last the one shipped, which
            are chosen from, and which heads fitted anew keep near to; empty where there are none.
        strength: of the penalty that those were trained with.
    """

    whole: Rows
    folds: Folds
    without: Sequence[Rows]
    heads: Sequence[Head] = ()
    strength: float = 0.0

    @property
    def fitted_on(self) -> list[Rows]:
        """What each fold's heads are fitted on, and last what those are that are shipped."""
        kept = [rows[np.flatnonzero(self.folds != fold)] for fold, rows in enumerate(self.without)]
        return [*kept, self.whole]

    def fit(
        self,
        spec: HeadSpec,
        criteria: Criteria | None,
        strengths: Sequence[float],
        control: FitControl,
    ) -> Iterator[list[HeadFit]]:
        """The heads of each fold, and last those that are shipped: of each strength one.

        Their ridge draws them to the head that came with their features, where one did: a head
        fitted anew follows its rows, on which features that were learnt there look too good.
        """
        for number, rows in enumerate(self.fitted_on):
            if self.heads:
                spec = replace(spec, anchor=self.heads[number])
                control = replace(control, start=self.heads[number])
            yield fit_on(rows, spec, criteria, strengths, control)

    def held_out(self) -> Iterator[tuple[int, IntArray, Rows, Rows]]:
        """Each fold, the places of its rows, and these as its model and the last one see them."""
        for fold, rows in enumerate(self.without):
            places = np.flatnonzero(self.folds == fold)
            yield fold, places, rows[places], self.whole[places]


def seen_alike(rows: Rows, folds: Folds) -> Iterator[tuple[int, IntArray, Rows, Rows]]:
    """As :meth:`Views.held_out` where all see the rows alike, a chunk in memory at a time."""
    for fold, places, part in held_out(rows, folds):
        yield fold, places, part, part
