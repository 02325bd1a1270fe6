"""Adapters' candidates, judged on rows kept from them at the cost of one path of fits.

An adapter's fit takes hundreds of evaluations, and five more paths of them for the folds. What each
row would be given by the network fitted without it follows from the one path that is shipped
anyway (:mod:`evenhand.heads.leave_one_out`), where rows are many to a parameter.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evenhand._base.arrays import Float64
from evenhand._base.threads import threads_for
from evenhand.heads.adapter_slopes import AdapterSlopes
from evenhand.heads.head_fit import DOUBLE_WIDTH, HeadFit
from evenhand.heads.leave_one_out import left_out_log_odds
from evenhand.heads.selection.candidates import (
    CandidateGrid,
    Candidates,
    Criteria,
    family_name,
)
from evenhand.heads.selection.crossfit import crossfit, too_small
from evenhand.heads.selection.decisions import Given, Judging
from evenhand.heads.selection.folds import FOLDS
from evenhand.heads.selection.parts import fit_on, terms_of
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.rows import Rows

ROWS_A_PARAMETER = 60
"""Of so many rows a parameter one step from the fit tells what it would be without a row. An
adapter is held loosely: of 33 rows a parameter its error came out .3 points lower than by folds
(Adult), of 65 and more within .1."""


MOST_PARAMETERS = 4_096
"""Of more the second derivative, a square of them, is not made."""


def judged_adapters(
    rows: Rows,
    spec: HeadSpec,
    criteria: Criteria,
    *,
    grid: CandidateGrid,
    control: FitControl,
    min_rows: int,
) -> Candidates:
    """A path of adapters with counts on rows kept from them: one by one, else fold by fold.

    Rows are left out one by one where there are two classes, :data:`ROWS_A_PARAMETER` rows a
    parameter and no weights, and every fit came to a minimum.

    Args:
        rows: all development rows, their features the hidden layer's inputs.
        spec: of low-rank adapters.
        criteria, grid, control, min_rows: as for :func:`crossfit`.

    Raises:
        InputError: as :func:`crossfit`.
    """  # noqa: DOC502
    if may_leave_out(rows, spec):
        spec = replace(spec, left_out=too_small(rows, criteria, min_rows))
        quiet = replace(control, on_fit=None)
        fits = fit_on(rows, spec, criteria, grid.strengths, quiet)
        with threads_for(rows.features.size):
            given = [_log_odds(fit, rows) for fit in fits]
            kept = [
                _without_each(fit, odds, rows, spec, criteria)
                for fit, odds in zip(fits, given, strict=True)
            ]
        found = [odds for odds in kept if odds is not None]
        if len(found) == len(fits):
            for _ in range((FOLDS + 1) * len(fits) if control.on_fit else 0):
                control.on_fit()  # type: ignore[misc]
            return _judged(rows, spec, criteria, grid, fits, found, given)
    return crossfit(rows, spec, criteria, grid=grid, control=control, min_rows=min_rows)


def may_leave_out(rows: Rows, spec: HeadSpec) -> bool:
    """Whether rows may be left out of an adapter one by one; its fits must come to minima too."""
    if spec.hidden is None or spec.full or len(rows.classes) > 2:
        return False
    inputs, width = spec.hidden.weight.shape
    parameters = (spec.rank or 1) * (inputs + width) + width + 1
    many = len(rows) >= ROWS_A_PARAMETER * parameters and parameters <= MOST_PARAMETERS
    return many and rows.weights is None and rows.world.size == 1


def _log_odds(fit: HeadFit, rows: Rows) -> Float64:
    logits = fit.logits(rows.features)
    return np.asarray(logits[:, 1] - logits[:, 0], dtype=np.float64)


def _without_each(
    fit: HeadFit, odds: Float64, rows: Rows, spec: HeadSpec, criteria: Criteria
) -> Float64 | None:
    """(N,) the log-odds of each row by the adapter fitted without it; None where not known."""
    if fit.adapter is None:
        return None
    weight = fit.head.weight[:, 1] - fit.head.weight[:, 0]
    slopes = AdapterSlopes(fit.adapter, weight, spec.require_ridge())
    inputs = rows.features
    kind = np.float64 if inputs.shape[1] <= DOUBLE_WIDTH else np.float32
    terms = terms_of(rows, spec, criteria)
    inputs = np.asarray(inputs, dtype=kind)
    return left_out_log_odds(slopes, inputs, rows.labels, odds, terms, fit.strength)


def _judged(
    rows: Rows,
    spec: HeadSpec,
    criteria: Criteria,
    grid: CandidateGrid,
    fits: list[HeadFit],
    kept: list[Float64],
    given: list[Float64],
) -> Candidates:
    """``kept``: the log-odds of rows kept from each fit, ``given``: as they are."""
    judging = Judging(rows, len(fits), grid.offsets)
    shipped = Given(rows, len(fits), grid.offsets)
    every = np.arange(len(rows))
    judging.add(every, kept)
    shipped.add(every, given)
    return Candidates.judged(
        judging,
        fits,
        criteria=criteria,
        family=family_name(spec),
        ridge=spec.ridge,
        shipped=shipped,
    )
