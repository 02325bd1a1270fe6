"""A fitted head and how the fit went; the sizes and tolerances that fits share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evenhand._base.arrays import FloatArray
from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.adapter import Adapter
from evenhand.rows import Rows

DOUBLE_WIDTH = 64
"""Up to this many features everything is float64; above, products are float32 and sums float64."""


MAX_EVALUATIONS = 3_000


TOLERANCE = {np.dtype(np.float64): 1e-7, np.dtype(np.float32): 1e-4}
"""Largest entry of the preconditioned gradient at which a fit stops. In float32 a third of it is
rounding: line searches fail there, at ten times the passes and no other decisions."""


IN_PASSES = 1 << 22
"""Numbers in the features above which heads are fitted in passes: 3 to 10 times as fast there."""


LARGEST = {np.dtype(np.float64): 1e120, np.dtype(np.float32): 1e15}
"""Features beyond this overflow: their squares are summed."""


LOW_RANK_TOLERANCE = 3e-5
"""The same for factors of three or more classes, which converge slowly: the objective is then
within 1e-5 of its end, the error within .01 points."""


@dataclass(frozen=True, eq=False)
class HeadFit:
    """A fitted head and how the fit went.

    Attributes:
        head: the head, in float64.
        adapter: the low-rank change to the last hidden layer, where one was fitted.
        strength: of the gap penalty.
        value: the objective reached.
        evaluations: of the objective on all rows, for this fit (those on a sample not counted).
        converged: the gradient fell below the tolerance, or rounding ended the fit with less than
            :data:`~evenhand.heads.lbfgs.NEGLIGIBLE` left to gain; never where evaluations ran out.
        passes: how often the features were read whole for this fit and those fitted with it: two
            times an evaluation, or once for all heads where they are fitted in lock step.
        where: the device that held the features, such as ``"cuda:0"``, or why one that was asked
            for did not; empty: the processor.
    """

    head: Head
    strength: float
    value: float
    evaluations: int
    converged: bool
    adapter: Adapter | None = None
    passes: int = 0
    where: str = ""

    def logits(self, inputs: FloatArray) -> FloatArray:
        """(N, K) logits: of features, or of the hidden layer's inputs where there is an adapter."""
        return self.head.logits(self.adapter(inputs) if self.adapter else inputs)

    def shifted(self, offset: float) -> HeadFit:
        """The same fit with ``offset`` added to the log-odds of the second of two classes.

        Raises:
            InputError: the head is not of two classes.
        """  # noqa: DOC502
        return replace(self, head=self.head.shifted(offset))

    @property
    def trainable_parameters(self) -> int:
        """What trains: the head's numbers and the adapter's."""
        extra = self.adapter.trainable_parameters if self.adapter else 0
        return self.head.trainable_parameters + extra


def wants_passes(rows: Rows) -> bool:
    """Whether heads are fitted in passes over the rows: they are many, or processes share them."""
    return rows.world.size > 1 or are_many(rows.features)


def are_many(features: Any) -> bool:
    """Whether features (N, d) are too many numbers to be fitted fastest where they are held."""
    return bool(features.shape[0] * features.shape[1] > IN_PASSES)


def check_classes(rows: Rows) -> None:
    """Refuse rows of fewer than two classes.

    Raises:
        InputError: no rows, or all of one label.
    """
    present = rows.world.sum(np.bincount(rows.labels, minlength=len(rows.classes)))
    if not present.any():
        raise InputError("there are 0 rows to fit a head on")
    if (present > 0).sum() < 2:
        raise InputError(
            f"all {present.sum()} rows have the label {rows.classes[int(present.argmax())]!r}: "
            "a head needs at least two classes to tell apart; give rows of another"
        )
