"""Heads fitted without each fold, and on all rows, by the engine that suits the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import GapTerm, gap_terms
from evenhand.heads.head_fit import HeadFit, wants_passes
from evenhand.heads.selection.candidates import Criteria
from evenhand.heads.selection.folds import fold_numbers, folds
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.heads.streaming.folds import fit_folds, held_out
from evenhand.rows import Rows


class PartFits(NamedTuple):
    """The heads of one part of the rows.

    Attributes:
        fits: strengths within ridges.
        judged: rows that were kept from them, some or all; None where they saw every row.
    """

    fits: Sequence[HeadFit]
    judged: Rows | None


def fit_parts_of(
    rows: Rows,
    spec: HeadSpec,
    criteria: Criteria | None,
    *,
    ridges: Sequence[float],
    strengths: Sequence[float],
    refit: bool,
    control: FitControl,
) -> Iterator[PartFits]:
    """Heads for every ridge and strength without each fold, and last on all rows.

    Args:
        rows: all development rows.
        spec: what is fitted; its ridge is not looked at.
        criteria: what is to be even; None where there is no penalty.
        ridges, strengths: every combination is fitted.
        refit: fit on all rows too.
        control: where to begin, when to stop, the folds' seed.
    """
    if spec.hidden is None and wants_passes(rows):
        numbers = fold_numbers(rows, seed=control.seed)
        by_part = fit_folds(
            rows,
            numbers,
            spec,
            criteria,
            ridges=ridges,
            strengths=strengths,
            refit=refit,
            control=control,
        )
        for fold, judged in held_out(rows, numbers, len(by_part) - refit):
            yield PartFits(by_part[fold], judged)
        if refit:
            yield PartFits(by_part[-1], None)
        return

    def fit(part: Rows) -> list[HeadFit]:
        terms: tuple[GapTerm, ...] = ()
        if criteria is not None:
            groups = part.groups.without(spec.left_out)
            terms = gap_terms(part.labels, groups, part.classes, criteria, beta=spec.beta)
        found: list[HeadFit] = []
        for ridge in ridges:
            of_ridge = replace(spec, ridge=ridge)
            found += fit_path(part, of_ridge, strengths, terms, control=control)
        return found

    for train_rows, judged_rows in folds(rows, seed=control.seed):
        yield PartFits(fit(rows[train_rows]), rows[judged_rows])
    if refit:
        yield PartFits(fit(rows), None)
