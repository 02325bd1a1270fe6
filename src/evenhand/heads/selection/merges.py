"""Merges: a head plus a little of a score that tells a group apart, as one linear head.

Ridge regression of a group's indicator on the features gives a direction a(x) = v·x + c (METHOD
6.5); z + t a(x) moves the decisions of rows that look like the group's, and is the head
(W + t v, b + t c). It needs no fit of its own, and reaches decisions that no path of penalties
does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from evenhand._base.arrays import Float64, FloatArray, IntArray
from evenhand.criteria import Criterion
from evenhand.head import Head
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.decisions import Given, Judging
from evenhand.heads.selection.folds import fold_numbers
from evenhand.heads.selection.views import Views, seen_alike
from evenhand.heads.streaming.folds import Folds, chunks, origin
from evenhand.metrics.rates import criterion_rates
from evenhand.rows import Rows

OF_TRANSFER = tuple(np.geomspace(0.06, 4, 14).tolist())
"""How much of the score is added to transfer learning, in the sense that lessens its gap."""


OF_PATH = (0.6, 0.3, 0.15, -0.15, -0.3)
"""How much is added to each other head of a path."""


RIDGE = 1e-3
"""Of the regression, in shares of the features' mean variance."""


WIDEST = 4_096
"""Above this many features their covariances, one a fold, are not held in memory."""


@dataclass(frozen=True, eq=False)
class Directions:
    """The scores of B groups, a = x V + c, of unit standard deviation and mean 0.

    Attributes:
        groups: (B,) the numbers of the groups.
        weight: (d, B) V.
        bias: (B,) c.
    """

    groups: tuple[int, ...]
    weight: Float64
    bias: Float64


def mergeable(rows: Rows, path: Candidates) -> bool:
    """Whether the heads of ``path`` can be merged with groups' scores."""
    return (
        len(rows.classes) == 2
        and len(path.offsets) > 1
        and bool(path.parts)
        and rows.features.shape[1] <= WIDEST
    )


Merge = tuple[int, int, float]
"""Which head of a path, which direction, and how much of it."""


def merged(
    rows: Rows,
    path: Candidates,
    directions: Sequence[Directions],
    wanted: Sequence[Merge],
    *,
    folds: Folds | None = None,
    views: Views | None = None,
) -> Candidates:
    """Merges of a cross-fitted path's heads with groups' scores, judged on the same folds.

    Args:
        rows: what the path was cross-fitted on.
        path: of two classes, with the heads of its parts.
        directions: :func:`group_directions` of the rows, by the same folds or views.
        wanted: the merges.
        folds: of the rows; by default those of seed 0.
        views: the rows as each fold's model sees them, where the path was cross-fitted so.
    """
    judging = Judging(rows, len(wanted), path.offsets)
    shipped = Given(rows, len(wanted), path.offsets)

    def added(features: FloatArray, fold: int) -> Iterator[Float64]:
        """The log-odds of each merge of the heads of a part, or (-1) of all rows."""
        heads, features = path.parts[fold], features.astype(np.float64)
        odds = _odds_weights(heads).T @ features.T
        odds += np.array([[fit.head.bias[1] - fit.head.bias[0]] for fit in heads])
        scores = directions[fold].weight.T @ features.T + directions[fold].bias[:, None]
        return (odds[s] + t * scores[b] for s, b, t in wanted)

    if views is None:
        seen = seen_alike(rows, fold_numbers(rows) if folds is None else folds)
    else:
        seen = views.held_out()
    for fold, places, judged, whole in seen:
        judging.add(places, added(judged.features, fold))
        shipped.add(places, added(whole.features, -1))
    fits = [_moved(path.parts[-1][s], directions[-1], b, t) for s, b, t in wanted]
    return Candidates.judged(
        judging,
        fits,
        criteria=path.criteria,
        family=f"{path.family}, merged",
        ridge=path.ridge,
        merges=tuple(t for _, _, t in wanted),
        shipped=shipped,
    )


def _odds_weights(fits: Sequence[HeadFit]) -> Float64:
    """(d, S) the weights of the log-odds."""
    return np.column_stack([fit.head.weight[:, 1] - fit.head.weight[:, 0] for fit in fits])


def _moved(fit: HeadFit, directions: Directions, b: int, t: float) -> HeadFit:
    """A fit with t of the score of direction ``b`` added to its log-odds."""
    change = t / 2 * directions.weight[:, b]
    shift = t / 2 * directions.bias[b]
    head = Head(
        fit.head.weight + np.column_stack([-change, change]),
        fit.head.bias + np.array([-shift, shift]),
    )
    return replace(fit, head=head)


def transfer_merges(path: Candidates, directions: Directions) -> list[Merge]:
    """The merges of transfer learning, the path's first head, in the senses that lessen its gap."""
    return [
        (0, b, sign * t)
        for b, group in enumerate(directions.groups)
        for sign in signs_of(path.tables[0, path.offsets.index(0.0)], group)
        for t in OF_TRANSFER
    ]


def point_merges(path: Candidates, directions: Directions) -> list[Merge]:
    """The merges of the path's other heads."""
    table = path.tables[0, path.offsets.index(0.0)]
    return [
        (s, b, t)
        for b, group in enumerate(directions.groups)
        for s in range(1, len(path.strengths))
        for t in sorted({sign * t for sign in signs_of(table, group) for t in OF_PATH})
    ]


def signs_of(table: IntArray, group: int) -> tuple[float, ...]:
    """The senses in which a group's score lessens gaps of selection rates and of odds.

    Args:
        table: (G, K, K) transfer learning's counts, two classes.
        group: whose score it is.
    """
    others = np.delete(table, group, axis=0).sum(axis=0)
    pair = np.stack([table[group], others])
    found = []
    for criterion in (Criterion.DEMOGRAPHIC_PARITY, Criterion.EQUALIZED_ODDS):
        rates = np.asarray(criterion_rates(pair, criterion), dtype=np.float64)
        excess = np.nansum(rates[..., 0, :] - rates[..., 1, :])
        found.append(-1.0 if excess > 0 else 1.0)
    return tuple(dict.fromkeys(found))


def group_directions(
    rows: Rows,
    left_out: Sequence[int] = (),
    *,
    folds: Folds | None = None,
    views: Views | None = None,
) -> list[Directions] | None:
    """The scores of every group but the largest, fitted without each fold and last on all rows.

    Args:
        rows: of all processes; those of unknown group are left out.
        left_out: the numbers of groups that have no score.
        folds: of the rows; by default those of seed 0.
        views: the rows as each fold's model sees them, where these differ.

    Returns:
        For each fold its directions, and those of all rows; None where no two groups are left or no
        feature varies.
    """
    if views is not None:
        folds = views.folds
    sums = _Moments.of(rows, fold_numbers(rows) if folds is None else folds)
    sizes = sums.groups.sum(axis=0)
    counted = [g for g in range(rows.groups.number) if g not in left_out and sizes[g]]
    if len(counted) < 2:
        return None
    counted.remove(max(counted, key=lambda g: (sizes[g], -g)))
    whole = sums.directions(None, counted)
    if views is None:
        found = [sums.directions(fold, counted) for fold in range(len(sums.number))]
    else:
        found = [
            _Moments.of(one, views.folds).directions(fold, counted)
            for fold, one in enumerate(views.without)
        ]
    complete = [one for one in (*found, whole) if one is not None]
    return complete if len(complete) == len(found) + 1 else None


def _squares_fit(values: Float64) -> bool:
    """Whether float32 holds sums of the values' squares, neither infinite nor lost."""
    return bool(1e-12 < np.abs(values).max(initial=0) < 1e12)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Sums over the rows of known group in each fold, of features about their origin.

    Attributes:
        number: (F,) rows, or sums of their weights, as in all that follows.
        groups: (F, G) rows of each group.
        first: (F, d) sums of the features.
        second: (F, d, d) of their products.
        by_group: (F, G, d) sums of the features of each group's rows.
        origin: (d,) what was taken from the features.
    """

    number: Float64
    groups: Float64
    first: Float64
    second: Float64
    by_group: Float64
    origin: Float64

    @classmethod
    def of(cls, rows: Rows, folds: Folds) -> _Moments:
        d, g = rows.features.shape[1], rows.groups.number
        f = int(np.max(rows.world.gather(np.array([folds.max(initial=-1)])))) + 1
        about = origin(rows)
        groups, by_group, second = np.zeros((f, g)), np.zeros((f, g, d)), np.zeros((f, d, d))
        first = 0
        for features in chunks(rows.features):
            codes = rows.groups.codes[first : first + len(features)]
            inside = folds[first : first + len(features)]
            for fold in np.unique(inside):
                which = (inside == fold) & (codes >= 0)
                part = features[which] - about
                if features.dtype == np.float32 and _squares_fit(part):  # half the time
                    part = part.astype(np.float32)
                members = np.eye(g)[codes[which]]
                weighed = part
                if rows.weights is not None:
                    one = rows.weights.values[first : first + len(features)][which, None]
                    members, weighed = members * one, part * one.astype(part.dtype)
                groups[fold] += members.sum(axis=0)
                by_group[fold] += members.T @ part
                second[fold] += weighed.T @ part
            first += len(features)
        groups, by_group, second = (rows.world.sum(each) for each in (groups, by_group, second))
        return cls(groups.sum(axis=1), groups, by_group.sum(axis=1), second, by_group, about)

    def directions(self, without: int | None, groups: Sequence[int]) -> Directions | None:
        """The scores of ``groups`` on the rows of all folds but ``without``."""

        def kept(each: Float64) -> Float64:
            whole = each.sum(axis=0)
            return whole if without is None else whole - each[without]

        n = float(kept(self.number)) or 1.0
        mean = kept(self.first) / n
        covariance = kept(self.second) / n - np.outer(mean, mean)
        variance = float(np.trace(covariance)) / max(1, len(mean))
        if not 0 < variance < np.inf:
            return None
        share = kept(self.groups)[list(groups)] / n
        toward = kept(self.by_group)[list(groups)] / n - np.outer(share, mean)
        ridged = covariance + RIDGE * variance * np.eye(len(mean))
        weight = scipy.linalg.solve(ridged, toward.T, assume_a="pos")
        spread = np.sqrt(np.einsum("db,de,eb->b", weight, covariance, weight))
        if not (np.isfinite(spread) & (spread > 0)).all():
            return None
        weight = weight / spread
        return Directions(tuple(groups), weight, -(mean + self.origin) @ weight)
