"""How often each class was decided, of rows that stand for others."""

from __future__ import annotations

from typing import Any

import numpy as np

from evenhand._base.text import visible
from evenhand.errors import InputError
from evenhand.finetuning.fair_model import Decisions
from evenhand.tasks.raw_batches import RawBatch


class WeightedShares:
    """Adds up the weights of decided rows, batch by batch.

    Args:
        column: of the data, that holds the weights.
        classes: the class names.
    """

    def __init__(self, column: str, classes: tuple[str, ...]) -> None:
        self.column, self.classes = column, classes
        self.sums = np.zeros(len(classes))
        self.rows, self.squares = 0, 0.0

    def add(self, batch: RawBatch, found: Decisions, values: Any) -> None:
        """The decisions of a batch, and its rows' weights as an Arrow column.

        Raises:
            InputError: a weight of a decided row is no number, negative or infinite.
        """
        import pandas as pd

        decided = np.flatnonzero(found.codes >= 0)
        held = [] if values is None else values.to_pylist()
        weights = pd.to_numeric(pd.Series(held, dtype=object), errors="coerce").to_numpy(np.float64)
        own = weights[decided] if len(weights) else np.full(len(decided), np.nan)
        bad = ~(np.isfinite(own) & (own >= 0))
        if bad.any():
            at = int(decided[int(bad.argmax())])
            row = batch.start + int(batch.places[at]) + 1
            given = held[at] if held else None
            raise InputError(
                f"weight column {visible(self.column)!r} holds {visible(str(given))!r} in row "
                f"{row:,}; a weight is finite and at least 0"
            )
        self.sums += np.bincount(found.codes[decided], own, len(self.classes))
        self.squares += float((own**2).sum())
        self.rows += len(decided)

    def shares(self) -> dict[str, float]:
        """Each class's share of the weight of all decided rows.

        Raises:
            InputError: no decided row has any weight.
        """
        total = self.sums.sum()
        if not total:
            raise InputError(
                f"weight column {visible(self.column)!r} is zero in all {self.rows:,} decided rows"
            )
        return {name: float(s / total) for name, s in zip(self.classes, self.sums, strict=True)}

    def sentence(self) -> str:
        """The shares in words; of two classes that of the positive one."""
        shares = list(self.shares().items())
        told = shares[1:] if len(shares) == 2 else shares
        words = ", ".join(f"{visible(name)} {share:.1%}" for name, share in told)
        effective = self.sums.sum() ** 2 / self.squares
        return (
            f"of all weight ({visible(self.column)}) decided: {words}; {self.rows:,} rows are as "
            f"sure as {effective:,.0f} of equal weight"
        )
