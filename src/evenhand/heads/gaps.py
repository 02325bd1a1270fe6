"""Soft gaps: differences between groups' mean probabilities inside label cells.

The head's mean gradient over a cell (group g, label y) is mean(p - onehot(y)), so the difference of
two groups' mean gradients inside a label is the soft gap of their rates. The paper balances the
second moments of these gradients; balancing the first moments is what moves the gaps.

The penalty for one criterion is, over labels y (all rows at once for demographic parity, y = 1
only for equal opportunity),

    sum_y G_y / (G_y - 1) * sum_g [ s_gy (m_gy - m_y) ]²,   s_gy = n_gy / (n_gy + shrink),

m_gy the cell's mean of sigmoid(beta z) (softmax(beta z) for K > 2 classes, summed over them), m_y
the s-weighted mean over the groups. For two large groups it is the squared difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64, IntArray, integers_below
from evenhand._base.distributed import ALONE, World
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.weights import Weights, effective_rows, sums_by

SHRINK = 50
"""A cell of this many rows counts half: small cells are noise, and fitting noise costs error."""


MIN_CELL = 30
"""Cells with fewer rows are left out of the penalty, and named."""


BETA = {
    Criterion.DEMOGRAPHIC_PARITY: 1.0,
    Criterion.EQUALIZED_ODDS: 4.0,
    Criterion.EQUAL_OPPORTUNITY: 4.0,
    Criterion.parse("predictive_equality"): 4.0,
}
"""How steep the soft decision is; 4 follows the hard rates closely, 1 is cheaper for parity."""


@dataclass(frozen=True, eq=False)
class GapTerm:
    """One criterion's penalty on given rows: ``sum of (mask * (contrast @ means))²``.

    Attributes:
        cell: (N,) the cell of each row; C for rows in none.
        sizes: (C,) rows of each cell, or the sum of their weights.
        contrast: (C, C) deviations of the cells' means from their label's mean, weighted.
        mask: (C, K) 1 where a class's probability counts.
        beta: steepness of the soft decision.
        weight: the term's share in a mix of criteria.
        dropped: (group, label) of cells that were too small to count.
        weights: (N,) of the rows in their cells' means; 1 by default.
    """

    cell: IntArray
    sizes: IntArray | Float64
    contrast: Float64
    mask: Float64
    beta: float
    weight: float
    dropped: tuple[tuple[str, str], ...]
    weights: Float64 | None = None

    @property
    def active(self) -> bool:
        """Whether there is anything to even out."""
        return bool(self.contrast.any())


@dataclass(frozen=True)
class Softness:
    """How decisions are softened, and how far cells are trusted.

    Attributes:
        beta: steepness of the soft decision; the criterion's own by default.
        shrink: a cell of this many rows counts half.
        min_cell: cells with fewer rows are left out of the penalty.
    """

    beta: float | None = None
    shrink: float = SHRINK
    min_cell: int = MIN_CELL


SOFTNESS = Softness()


def gap_term(
    labels: IntArray,
    groups: Groups,
    classes: tuple[str, ...],
    criterion: str | Criterion,
    *,
    weight: float = 1.0,
    softness: Softness = SOFTNESS,
    rows: Weights | None = None,
    world: World = ALONE,
) -> GapTerm:
    """The penalty of ``criterion`` on rows with these labels and groups.

    Args:
        labels: (N,) integers in [0, K).
        groups: the rows' groups; unknown ones are in no cell.
        classes: the K class names.
        criterion: what is to be even.
        weight: share in a mix of criteria.
        softness: how decisions are softened and small cells trusted.
        rows: what each row counts; 1 by default. Cells are trusted, and kept, by their effective
            rows.
        world: the processes that hold the other rows: cells are as large as in all of them.

    Raises:
        InputError: labels and groups of different lengths, a label out of range, a weight, beta or
            shrink that is not a number it can be, or a criterion that has no soft gap.
    """
    beta, shrink, min_cell = softness.beta, softness.shrink, softness.min_cell
    criterion = with_penalty(criterion)
    k, g = len(classes), groups.number
    labels = integers_below(labels, k, "labels")
    if len(labels) != len(groups):
        raise InputError(f"labels and groups differ in length: {len(labels)} and {len(groups)}")
    if not (0 < weight < np.inf and 0 <= shrink < np.inf and (beta is None or 0 < beta < np.inf)):
        raise InputError(
            "a gap's weight and beta must be above 0 and finite, its shrink at least 0, "
            f"found weight {weight}, beta {beta} and shrink {shrink}"
        )
    by_label = criterion.by_label
    strata = labels if by_label else np.zeros_like(labels)
    cell = np.where(groups.known, strata * g + groups.codes, -1)
    own, others = criterion is Criterion.EQUAL_OPPORTUNITY, criterion == "predictive_equality"
    if k == 2 and (own or others):  # the positive class, of its own rows or of the others'
        cell = np.where(labels == (1 if own else 0), cell, -1)
    inside = cell >= 0
    given = None if rows is None else rows[inside]
    sizes, squares = (world.sum(each) for each in sums_by(cell[inside], k * g, given))
    certain = effective_rows(sizes, squares)
    large = certain >= max(1, min_cell)
    dropped = tuple(
        (groups.names[c % g], classes[c // g] if by_label else "any")
        for c in np.flatnonzero(~large & (sizes > 0))
    )
    renumber = np.append(np.where(large, np.cumsum(large) - 1, large.sum()), large.sum())
    kept = np.flatnonzero(large)
    contrast = np.zeros((len(kept), len(kept)))
    for stratum in np.unique(kept // g):
        ours = np.flatnonzero(kept // g == stratum)
        if len(ours) > 1:
            trust = certain[kept[ours]] / (certain[kept[ours]] + shrink)
            deviation = np.eye(len(ours)) - trust / trust.sum()
            scale = np.sqrt(len(ours) / (len(ours) - 1))
            contrast[np.ix_(ours, ours)] = scale * trust[:, None] * deviation
    mask = np.ones((len(kept), k))
    if k > 2 and (own or others):
        mask = np.eye(k)[kept // g] if own else 1 - np.eye(k)[kept // g]
    return GapTerm(
        renumber[cell],
        sizes[kept],
        contrast,
        mask,
        BETA[criterion] if beta is None else beta,
        weight,
        dropped,
        None if rows is None else rows.values,
    )


def with_penalty(criterion: str | Criterion) -> Criterion:
    """The criterion whose soft gap evens out ``criterion``: its own, or that of one like it.

    Raises:
        InputError: an unknown criterion, or one that has no soft gap.
    """
    asked = Criterion.parse(criterion)
    if asked.penalty is None:
        raise InputError(
            f"{asked} has no soft gap to train with; train with one of "
            f"{', '.join(BETA)}, and choose by {asked} (--bound, --criterion)"
        )
    return Criterion.parse(asked.penalty)


def gap_terms(
    labels: IntArray,
    groups: Groups,
    classes: tuple[str, ...],
    criteria: str | Criterion | Mapping[str | Criterion, float],
    *,
    beta: float | None = None,
    rows: Weights | None = None,
    world: World = ALONE,
) -> tuple[GapTerm, ...]:
    """One term a criterion; ``criteria`` is one of them, or a mapping to weights for a mix.

    The other arguments are :func:`gap_term`'s.

    Raises:
        InputError: an unknown criterion, or a weight that is not positive.

    Example:
        >>> terms = eh.heads.gap_terms(rows.labels, rows.groups, rows.classes, "equalized_odds")
        >>> spec = eh.heads.HeadSpec(ridge=1e-3)
        >>> plain, even = eh.heads.fit_path(rows, spec, strengths=(0.0, 10.0), terms=terms)
    """
    mix = {criteria: 1.0} if isinstance(criteria, str) else dict(criteria)
    for criterion, weight in mix.items():
        if not 0 < weight < np.inf:
            raise InputError(f"the weight of {criterion} must be positive, found {weight}")
    return tuple(
        gap_term(
            labels,
            groups,
            classes,
            criterion,
            weight=weight,
            softness=Softness(beta),
            rows=rows,
            world=world,
        )
        for criterion, weight in mix.items()
    )


def penalty_of_means(term: GapTerm, means: npt.NDArray[np.floating]) -> tuple[float, Float64]:
    """The penalty and its gradient at the cells' mean probabilities (C, K) or (C, 1)."""
    mask = term.mask[:, : means.shape[1]]
    deviation = mask * (term.contrast @ means)
    gradient = 2 * term.contrast.T @ (mask * deviation)
    return term.weight * float((deviation**2).sum()), term.weight * gradient
