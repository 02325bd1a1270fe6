"""Candidates: heads with their cross-fitted counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import FloatArray, IntArray
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.spec import HeadSpec
from evenhand.rows import Rows

STRENGTHS = (0.0, *np.geomspace(0.03, 100, 17).tolist())
OFFSETS = tuple(np.linspace(-1, 1, 25).tolist())

Criteria = str | Criterion | dict[str | Criterion, float]


@dataclass(frozen=True)
class CandidateGrid:
    """Which candidates there are: every strength with every offset.

    Attributes:
        strengths: of the penalty, ascending from 0.
        offsets: of the log-odds, for two classes; 0 is among them.
        forced: the last strength is taken, without choosing.

    Raises:
        InputError: transfer learning is not among them.

    Example:
        >>> eh.heads.CandidateGrid(strengths=(0.0, 0.3, 1.0), offsets=(0.0,)).strengths
        (0.0, 0.3, 1.0)
    """

    strengths: tuple[float, ...] = STRENGTHS
    offsets: tuple[float, ...] = OFFSETS
    forced: bool = False

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
        return cls((0.0, float(strength)), forced=True)


DEFAULT_GRID = CandidateGrid()


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
        differing: (S, O, P, K) rows of each label whose held-out decisions differ from those of the
            first strength at the P = O offsets; they tell how sure a difference in error is. None
            where they were not counted.
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
    logits: FloatArray, plain: FloatArray, labels: IntArray, offsets: Sequence[float]
) -> IntArray:
    """(O, P, K) rows of each label decided otherwise than ``plain`` at each of the P = O offsets.

    Args:
        logits, plain: (N, K).
        labels: (N,) in [0, K).
        offsets: added to the log-odds of both, for two classes.
    """
    k = logits.shape[1]
    if k > 2:
        differ = logits.argmax(axis=1) != plain.argmax(axis=1)
        return np.bincount(labels[differ], minlength=k).reshape(1, 1, k).astype(np.int64)
    thresholds = np.sort(-np.asarray(offsets))
    width = len(thresholds) + 1
    mine, other = (
        np.searchsorted(thresholds, each[:, 1] - each[:, 0], side="left")
        for each in (logits, plain)
    )
    joint = np.bincount((labels * width + mine) * width + other, minlength=k * width * width)
    joint = joint.reshape(k, width, width)
    # rows with mine <= i and other <= j: neither is above its threshold
    below = joint.cumsum(axis=1).cumsum(axis=2)
    neither = below[:, :-1, :-1]
    no_mine, no_other = below[:, :-1, -1:], below[:, -1:, :-1]
    order = np.argsort(np.argsort(-np.asarray(offsets)))
    differing = (no_mine + no_other - 2 * neither)[:, order][:, :, order]
    return np.moveaxis(differing, 0, -1).astype(np.int64)


def family_name(spec: HeadSpec) -> str:
    """How candidates made in this way are called."""
    if spec.hidden is not None:
        return f"rank-{spec.rank or 1} adapter + head"
    return "head" if spec.rank is None else f"rank-{spec.rank} head"


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
