"""Every fold's heads, and those of all rows, fitted in the same passes: no fold is ever copied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64, FloatArray, IntArray, release
from evenhand.criteria import Criterion
from evenhand.groups import UNKNOWN, Groups
from evenhand.heads.gaps import GapTerm, gap_terms
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.heads.streaming.atomic_cells import Part, Parts
from evenhand.heads.streaming.fit import fit_parts
from evenhand.heads.streaming.fit_requests import FitRequest
from evenhand.heads.streaming.row_arrays import CHUNK_BYTES
from evenhand.rows import Rows
from evenhand.weights import Weights, sums_by

Criteria = str | Criterion | Mapping[str | Criterion, float]


Folds = npt.NDArray[np.signedinteger[Any]]


ENOUGH = 1_000
"""Rows that say about where features lie."""


def fit_folds(
    rows: Rows,
    folds: Folds,
    spec: HeadSpec,
    criteria: Criteria | None,
    *,
    ridges: Sequence[float],
    strengths: Sequence[float],
    refit: bool,
    control: FitControl,
) -> list[list[HeadFit]]:
    """Fit a head for each ridge and strength without each fold, and on all rows.

    Args:
        rows: this process's.
        folds: (N,) the fold that holds each row.
        spec: what is fitted; never an adapter.
        criteria: what to even out; None where there is no penalty.
        ridges, strengths: every combination is fitted, strengths within ridges.
        refit: fit on all rows too.
        control: where to begin, when to stop.

    Returns:
        For each fold its fits, and last those on all rows where they are asked for.
    """
    number = int(np.max(rows.world.gather(np.array([folds.max(initial=-1)])))) + 1
    cells = _cells(rows)
    count = len(rows.classes) * (rows.groups.number + 1)
    sums = sums_by(folds * count + cells, number * count, rows.weights)
    sizes = np.stack([rows.world.sum(each).reshape(number, count) for each in sums], axis=1)
    kept = [
        sizes.sum(axis=0),
        *(np.delete(sizes, fold, axis=0).sum(axis=0) for fold in range(number)),
    ]
    terms = [_terms(rows, sizes_kept, criteria, spec) for sizes_kept in kept]
    used = np.zeros(count, dtype=bool)
    for term in (term for each in terms for term in each):
        used |= term.cell < len(term.sizes)
    rank_of = np.full(count, int(used.sum()), dtype=np.int32)
    rank_of[used] = np.arange(int(used.sum()))
    parts = tuple(
        Part(fold - 1, float(sizes_kept[0].sum()), tuple((term, term.cell[used]) for term in each))
        for fold, (sizes_kept, each) in enumerate(zip(kept, terms, strict=True))
    )
    order = [*range(1, number + 1), *([0] if refit else [])]
    requests = [
        FitRequest(part, float(strength), ridge)
        for part in order
        for ridge in range(len(ridges))
        for strength in strengths
    ]
    fits = fit_parts(
        rows,
        Parts(parts, rank_of[cells], int(used.sum()), folds),
        requests,
        spec,
        ridges=ridges,
        control=control,
    )
    each_part = len(ridges) * len(strengths)
    return [fits[first : first + each_part] for first in range(0, len(fits), each_part)]


def held_out(rows: Rows, folds: Folds) -> Iterator[tuple[int, IntArray, Rows]]:
    """The rows of each fold and their places among ``rows``, a chunk in memory at a time."""
    first = 0
    for features in chunks(rows.features):
        chunk = rows[first : first + len(features)].with_features(features)
        inside = folds[first : first + len(features)]
        for fold in np.unique(inside):
            which = np.flatnonzero(inside == fold)
            yield int(fold), (first + which).astype(np.int64), chunk[which]
        first += len(features)


def chunks(features: FloatArray) -> Iterator[FloatArray]:
    """Features (N, d) that may be on disk, some rows in memory at a time."""
    step = max(1, CHUNK_BYTES // (8 * max(1, features.shape[1])))
    for first in range(0, len(features), step):
        part = features[first : first + step]
        held = np.array(part)
        release(part)
        yield held


def origin(rows: Rows) -> Float64:
    """(d,) about where the features lie, the same in all processes: sums of squares around it keep
    their digits."""
    some = np.asarray(rows.features[:ENOUGH], dtype=np.float64)
    with np.errstate(all="ignore"):
        about = some.mean(axis=0) if len(some) else np.zeros(rows.features.shape[1])
    return np.asarray(rows.world.broadcast(about), dtype=np.float64)


def _cells(rows: Rows) -> IntArray:
    """(N,) label × group, the unknown one last."""
    groups = np.where(rows.groups.known, rows.groups.codes, rows.groups.number)
    cells: IntArray = rows.labels * (rows.groups.number + 1) + groups
    return cells


def _terms(rows: Rows, sizes: Float64, criteria: Criteria | None, spec: HeadSpec) -> list[GapTerm]:
    """The penalties on rows that sum to (2, C) ``sizes`` of weights and squares in each cell.

    One row stands for each cell.
    """
    if criteria is None:
        return []
    g = rows.groups.number
    labels, codes = np.divmod(np.arange(sizes.shape[1]), g + 1)
    groups = Groups(np.where(codes == g, UNKNOWN, codes), rows.groups.names, rows.groups.attribute)
    groups = groups.without(spec.left_out)
    terms = gap_terms(labels, groups, rows.classes, criteria, beta=spec.beta, rows=Weights(*sizes))
    return [term for term in terms if term.active]
