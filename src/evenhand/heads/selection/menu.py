"""The menu: every family of heads on some features that a choice is made among."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from evenhand.criteria import STANDARD, Criterion
from evenhand.heads.selection.candidates import (
    DEFAULT_GRID,
    CandidateGrid,
    Candidates,
    Criteria,
)
from evenhand.heads.selection.crossfit import as_trained, crossfit, crossfit_seen, too_small
from evenhand.heads.selection.folds import FOLDS, fold_numbers
from evenhand.heads.selection.merges import (
    Merge,
    group_directions,
    mergeable,
    merged,
    point_merges,
    transfer_merges,
)
from evenhand.heads.selection.requirements import has_gap
from evenhand.heads.selection.ridge import choose_ridge
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.views import Views
from evenhand.heads.selection.worst_cells import serves, tilted_family
from evenhand.heads.spec import DEFAULT_CONTROL, FitControl, HeadSpec
from evenhand.metrics.bounds import ROWS_PER_FEATURE, shortfall
from evenhand.metrics.rates import gap
from evenhand.rows import Rows

ENOUGH_ROWS = 5_000
"""From so many rows on a path's heads are merged under a bound too."""


MOST = 1 << 30
"""Of more rows × merges than this the decisions are not held: only transfer learning is merged."""


FAR_BELOW = 0.5
"""Bounds below this share of transfer learning's gap have a second path, at a heavier ridge."""


def head_families(
    rows: Rows,
    rule: Rule,
    spec: HeadSpec,
    *,
    grid: CandidateGrid = DEFAULT_GRID,
    control: FitControl = DEFAULT_CONTROL,
    known: Mapping[Criterion, Candidates] | None = None,
    views: Views | None = None,
) -> list[Candidates]:
    """The families of heads on one set of features, cross-fitted and refitted.

    First the path of the rule's first criterion; its first strength is transfer learning. Then
    those of the rule's other criteria and of their equal mix, of the criteria left, at a heavier
    ridge, and the merges of each (:class:`CandidateGrid` says which are wanted); for a criterion
    that looks at the worst group or cell, heads tilted to it.

    Args:
        rows: all development rows; of a deeper or wider readout, where that is to be tried.
        rule: what will be chosen by.
        spec: what is fitted; the ridge is chosen by cross-validation where none is given, and a
            name tells these families from those on other features.
        grid: the candidates' strengths and offsets, and which paths and merges.
        control: how to fit.
        known: paths that were cross-fitted before on the same rows with the same spec and control.
        views: the rows as models see them that were trained without each fold, where the features
            were learnt on these rows; such heads are not tilted.

    Raises:
        InputError: too few rows or classes, or features that are not finite.

    Example:
        >>> grid = eh.heads.CandidateGrid(strengths=(0.0, 1.0), offsets=(-0.2, 0.0, 0.2))
        >>> spec = eh.heads.HeadSpec(ridge=1e-3)
        >>> [one.family for one in eh.heads.head_families(rows, eh.Rule(), spec, grid=grid)][:2]
        ['head', 'head']
    """  # noqa: DOC502
    spec = with_ridge(rows, spec, control, views)
    parts = 1 + (FOLDS if views is None else len(views.without))
    done = 0

    def fitted(criteria: Criteria, of: HeadSpec) -> Candidates:
        nonlocal done
        done += parts * len(grid.strengths)
        least = rule.min_rows
        if views is None:
            return crossfit(rows, of, criteria, grid=grid, control=control, min_rows=least)
        return crossfit_seen(views, of, criteria, grid=grid, control=control, min_rows=least)

    found: list[Candidates] = []
    for criteria in _wanted_paths(rows, rule, grid):
        before = (known or {}).get(criteria) if isinstance(criteria, Criterion) else None
        found.append(before or fitted(criteria, spec))
    light = len(found)  # at one ridge, all with the same first head
    if grid.heavier and rule.bounds and far_below(found[0], rule):
        heavy = replace(spec, ridge=spec.require_ridge() * grid.heavier)
        found += [fitted(criteria, heavy) for criteria in paths(rule.criteria)]
    if views is not None and views.heads:
        found.append(as_trained(views, spec, paths(rule.criteria)[0], grid))
    if control.on_fit:
        for _ in range(
            fits_needed(rule, grid, parts) - done
        ):  # what need not be fitted counts as done
            control.on_fit()
    if grid.merged and mergeable(rows, found[0]):
        found += _merges(rows, rule, list(found), light, control.seed, views)
    for criterion in filter(serves, rule.criteria if views is None else ()):
        family = tilted_family(rows, spec, criterion, found[0].offsets, control.seed)
        found += [family] if family is not None and not grid.forced else []
    return found


def with_ridge(
    rows: Rows, spec: HeadSpec, control: FitControl, views: Views | None = None
) -> HeadSpec:
    """The same with its ridge, chosen by cross-validation where it has none."""
    if spec.ridge is not None:
        return spec
    begin = replace(control, start=None) if spec.rank else control
    begin = replace(begin, on_fit=None)
    return replace(spec, ridge=choose_ridge(rows, spec, control=begin, views=views))


def paths(criteria: Sequence[Criterion]) -> tuple[Criteria, ...]:
    """The paths that a rule asks for: each criterion alone, and their equal mix where several.

    Of a criterion that has no soft gap of its own the one whose heads serve it; where none does,
    the candidates are those of equalized odds, and are searched by counts.
    """
    serving = tuple(dict.fromkeys(Criterion.parse(c.penalty) for c in criteria if c.penalty))
    alone: tuple[Criteria, ...] = serving or (Criterion.EQUALIZED_ODDS,)
    if len(alone) < 2:
        return alone
    return (*alone, dict.fromkeys(serving, 1.0))


def _wanted_paths(rows: Rows, rule: Rule, grid: CandidateGrid) -> list[Criteria]:
    asked = list(paths(rule.criteria))
    if grid.every_criterion:
        asked += [c for c in STANDARD if c not in asked and has_gap(rows, c)]
    return asked


def fits_needed(rule: Rule, grid: CandidateGrid = DEFAULT_GRID, parts: int = FOLDS + 1) -> int:
    """How often :func:`head_families` calls ``on_fit``, for a progress bar.

    A path that turns out not to be needed counts as done. ``parts``: of the rows each is fitted on.
    """
    asked = paths(rule.criteria)
    number = len(asked)
    if grid.every_criterion:
        number += sum(criterion not in asked for criterion in STANDARD)
    if grid.heavier and rule.bounds:
        number += len(asked)
    return parts * len(grid.strengths) * number


def far_below(path: Candidates, rule: Rule) -> bool:
    """Whether a bound of the rule lies far below transfer learning's cross-fitted gap."""
    table = path.tables[0, path.offsets.index(0.0)]
    lacks = {b: float(shortfall(gap(table, b.criterion), b.criterion)) for b in rule.bounds}
    return any(bound.most < FAR_BELOW * value for bound, value in lacks.items())


def _merges(
    rows: Rows,
    rule: Rule,
    found: Sequence[Candidates],
    light: int,
    seed: int,
    views: Views | None,
) -> Iterator[Candidates]:
    left_out = set(range(rows.groups.number))
    for criterion in rule.criteria:
        left_out &= set(too_small(rows, criterion, rule.min_rows))
    folds = fold_numbers(rows, seed=seed) if views is None else views.folds
    directions = group_directions(rows, sorted(left_out), folds=folds, views=views)
    if directions is None:
        return

    def judged(path: Candidates, wanted: list[Merge]) -> Candidates:
        return merged(rows, path, directions, wanted, folds=folds, views=views)

    points = merges_points(rows, rule)
    for number, path in enumerate(found):
        alone = len(path.strengths) == 1
        if number in (0, light) or (alone and points):  # paths at one ridge share their first head
            yield judged(path, transfer_merges(path, directions[-1]))
        if points:
            wanted = point_merges(path, directions[-1])
            if wanted and len(wanted) * len(rows) <= MOST:
                yield judged(path, wanted)


def merges_points(rows: Rows, rule: Rule) -> bool:
    """Whether the heads of a path are merged too, not transfer learning alone.

    Of so many more candidates one is fair by luck on few rows: under a bound they are left out
    there, where the critical value does not account for it.
    """
    if not rule.bounds or rule.critical == "resampled":
        return True
    number = int(rows.world.sum(np.array([len(rows)]))[0])
    return number >= ENOUGH_ROWS or number < ROWS_PER_FEATURE * rows.features.shape[1]
