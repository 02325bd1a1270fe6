"""Candidates: heads with their cross-fitted counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import FloatArray, IntArray
from evenhand.criteria import Criterion
from evenhand.heads.adapter import Hidden
from evenhand.heads.head_fit import HeadFit
from evenhand.rows import Rows

Criteria = str | Criterion | dict[str | Criterion, float]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Heads at strengths × offsets, with how they decided on held-out rows.

    Attributes:
        strengths: (S,) of the penalty.
        offsets: (O,) added to the log-odds; (0,) for more than two classes.
        tables: (S, O, G, K, K) cross-fitted counts.
        unknown: (S, O, K, K) the same for rows of unknown group.
        fits: S heads refitted on all rows.
        criteria: what the penalty evened out.
        family: how the candidates were made, such as ``"head"``.
        log_loss: (S,) cross-fitted mean log-loss at offset 0.
        differing: (S, O, K) rows of each label whose held-out decisions differ from those of the
            first strength at offset 0; they tell how sure a difference in error is. None where
            they were not counted.
    """

    strengths: tuple[float, ...]
    offsets: tuple[float, ...]
    tables: IntArray
    unknown: IntArray
    fits: tuple[HeadFit, ...]
    criteria: Criteria
    family: str
    log_loss: npt.NDArray[np.float64]
    differing: IntArray | None = None

    @property
    def totals(self) -> IntArray:
        """(S, O, K, K) confusion matrices over all rows."""
        totals: IntArray = self.tables.sum(axis=2) + self.unknown
        return totals

    def fit(self, index: tuple[int, int]) -> HeadFit:
        """The refitted candidate (strength, offset), the offset moved into its bias."""
        fit = self.fits[index[0]]
        offset = self.offsets[index[1]]
        return replace(fit, head=fit.head.shifted(offset)) if offset else fit


def count_differing(
    logits: FloatArray, plain: IntArray, labels: IntArray, offsets: Sequence[float]
) -> IntArray:
    """(O, K) rows of each label whose decision at each offset differs from ``plain`` (N,)."""
    if logits.shape[1] > 2:
        differ = (logits.argmax(axis=1) != plain)[:, None]
    else:
        margin = logits[:, 1] - logits[:, 0]
        differ = (margin[:, None] + np.asarray(offsets) > 0) != (plain == 1)[:, None]
    counts = [differ[labels == label].sum(axis=0) for label in range(logits.shape[1])]
    return np.stack(counts, axis=-1).astype(np.int64)


def family_name(rank: int | None, hidden: Hidden | None) -> str:
    """How candidates made in this way are called."""
    if hidden is not None:
        return f"rank-{rank or 1} adapter + head"
    return "head" if rank is None else f"rank-{rank} head"


def count_offsets(logits: FloatArray, rows: Rows, offsets: Sequence[float]) -> IntArray:
    """(O, G + 1, K, K) counts of the decisions at each offset; the last group is the unknown."""
    g, k = rows.groups.number, len(rows.classes)
    group = np.where(rows.groups.known, rows.groups.codes, g)
    cell = group * k + rows.labels
    if k > 2:
        flat = np.bincount(cell * k + logits.argmax(axis=1), minlength=(g + 1) * k * k)
        return flat.reshape(1, g + 1, k, k).astype(np.int64)
    thresholds = np.sort(-np.asarray(offsets))
    bins = np.searchsorted(thresholds, logits[:, 1] - logits[:, 0], side="left")
    width = len(thresholds) + 1
    histogram = np.bincount(cell * width + bins, minlength=(g + 1) * k * width)
    histogram = histogram.reshape(g + 1, k, width)
    below = histogram.cumsum(axis=-1)[..., :-1]
    above = histogram.sum(axis=-1, keepdims=True) - below
    by_threshold = np.moveaxis(np.stack([below, above], axis=-1), 2, 0)
    order = np.argsort(np.argsort(-np.asarray(offsets)))
    return by_threshold[order].astype(np.int64)
