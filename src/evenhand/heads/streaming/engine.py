"""What evaluates many heads in one pass over the rows of a process: its processor, or a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from evenhand._base.arrays import Float64, FloatArray
from evenhand.heads.streaming.row_arrays import RowArrays
from evenhand.heads.streaming.sums import Sums


class Engine(Protocol):
    """Sums over the rows that one process holds."""

    @property
    def rows(self) -> RowArrays:
        """What is passed over."""
        ...

    @property
    def rereads(self) -> bool:
        """Whether reading the features twice is cheap."""
        ...

    def over(self, rows: RowArrays) -> Engine:
        """An engine of the same kind for other rows, such as a sample of these."""
        ...

    def product(self, one: FloatArray, other: FloatArray) -> FloatArray:
        """(d, e) of (N, d), transposed, with (N, e): what preconditions a fit, of a sample."""
        ...

    def sums(
        self, heads: Float64, folds: Sequence[int], betas: Sequence[float], *, whole: bool
    ) -> Sums:
        """One pass: what a fit needs of heads (C, m, d + 1).

        Args:
            heads: their weights, the bias last.
            folds: (C,) the fold each leaves out; -1: none.
            betas: steepnesses of the soft decisions to sum; none for the log-loss alone.
            whole: with all derivatives, in this one pass; for more than two classes only where
                there are no ``betas``. False: they are left to :meth:`gradient`.
        """
        ...

    def gradient(self, share: Float64, slopes: dict[float, Float64]) -> Float64:
        """(C, m, d + 1) the gradient, in the weights of the heads last summed, of their objectives.

        A second pass, which follows :meth:`sums`.

        Args:
            share: (C,) what the sums of the log-loss are multiplied by.
            slopes: beta to (A, C, m), the gradient of the rest at the soft sums.

        Raises:
            RuntimeError: :meth:`sums` has not been called.
        """
        ...
