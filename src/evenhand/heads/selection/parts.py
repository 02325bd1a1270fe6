"""Heads fitted without each fold, and on all rows, by the engine that suits the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import GapTerm, gap_terms
from evenhand.heads.head_fit import HeadFit, wants_passes
from evenhand.heads.selection.candidates import Criteria
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.heads.streaming.folds import Folds, fit_folds
from evenhand.rows import Rows


def fit_parts_of(
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
    """Heads for every ridge and strength without each fold, and last on all rows.

    Args:
        rows: all development rows.
        folds: (N,) the fold that holds each of this process's rows.
        spec: what is fitted; its ridge is not looked at.
        criteria: what is to be even; None where there is no penalty.
        ridges, strengths: every combination is fitted.
        refit: fit on all rows too.
        control: where to begin, when to stop.

    Returns:
        For each fold its fits, strengths within ridges, and last those of all rows where asked for.
    """
    if spec.hidden is None and wants_passes(rows):
        return fit_folds(
            rows,
            folds,
            spec,
            criteria,
            ridges=ridges,
            strengths=strengths,
            refit=refit,
            control=control,
        )

    def fit(part: Rows) -> list[HeadFit]:
        found: list[HeadFit] = []
        for ridge in ridges:
            found += fit_on(part, replace(spec, ridge=ridge), criteria, strengths, control)
        return found

    number = int(folds.max(initial=-1)) + 1
    found = [fit(rows[np.flatnonzero(folds != fold)]) for fold in range(number)]
    return [*found, fit(rows)] if refit else found


def fit_on(
    rows: Rows,
    spec: HeadSpec,
    criteria: Criteria | None,
    strengths: Sequence[float],
    control: FitControl,
) -> list[HeadFit]:
    """A head for each strength on these rows; without ``criteria`` there is no penalty."""
    terms = () if criteria is None else terms_of(rows, spec, criteria)
    return fit_path(rows, spec, strengths, terms, control=control)


def terms_of(rows: Rows, spec: HeadSpec, criteria: Criteria) -> tuple[GapTerm, ...]:
    """The penalties of what is fitted on these rows."""
    groups = rows.groups.without(spec.left_out)
    return gap_terms(rows.labels, groups, rows.classes, criteria, beta=spec.beta, rows=rows.weights)
