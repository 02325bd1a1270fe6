"""A family of candidates for the worst group or cell, judged on rows kept from each."""

from __future__ import annotations

import numpy as np

from evenhand.criteria import Criterion
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.decisions import Given, Judging
from evenhand.heads.selection.folds import fold_numbers
from evenhand.heads.spec import HeadSpec
from evenhand.heads.streaming.folds import held_out
from evenhand.heads.tilted import TILTS, cells_of, fit_tilted
from evenhand.rows import Rows

TILTED = "tilted to the worst of"
"""What the names of these families say."""

WIDEST = 2_048
"""Of more features the Gram matrix is too large to factor for every fold."""

MOST = 32_000_000
"""Of more numbers the features are too large to be held as doubles, a few times over."""


FOLDS_OF_CELLS = 20
"""More than elsewhere: these heads lean on the smallest cell, and without a fifth of its rows they
look worse on it than what is shipped, by points; then what favours it beyond need looks best."""


def serves(criterion: Criterion) -> bool:
    """Whether heads for the worst group or cell are worth fitting for a criterion."""
    return criterion.comparison.across == "worst"


def tilted_family(
    rows: Rows, spec: HeadSpec, criterion: Criterion, offsets: tuple[float, ...], seed: int = 0
) -> Candidates | None:
    """Heads from the mean of the cells to the worst cell, cross-fitted and refitted.

    Args:
        rows: all development rows.
        spec: its ridge, its intercept, and its name.
        criterion: one that looks at the worst; its cells are groups, or groups and labels.
        offsets: added to the log-odds, for two classes.
        seed: of the folds.

    Returns:
        The family; None where rows are too many or too wide to be fitted so, or shared.
    """
    plain = spec.rank is None and spec.hidden is None and spec.intercept and spec.anchor is None
    number, width = rows.features.shape
    if not plain or width > WIDEST or number * width > MOST or rows.world.size > 1:
        return None
    cell = cells_of(rows, by_label=criterion.by_label)
    folds = min(FOLDS_OF_CELLS, len(rows) // 2)
    numbers = fold_numbers(rows, number=folds, seed=seed)
    ridge = spec.require_ridge()
    fitted = [np.flatnonzero(numbers != fold) for fold in range(folds)]
    parts = [fit_tilted(rows[one], cell[one], ridge=ridge) for one in fitted]
    parts.append(fit_tilted(rows, cell, ridge=ridge))
    kept = offsets if len(rows.classes) == 2 else (0.0,)
    judging = Judging(rows, len(TILTS), kept)
    shipped = Given(rows, len(TILTS), kept)
    for fold, places, judged in held_out(rows, numbers):
        judging.add(places, (fit.logits(judged.features) for fit in parts[fold]))
        shipped.add(places, (fit.logits(judged.features) for fit in parts[-1]))
    what = "cells" if criterion.by_label else "groups"
    return Candidates.judged(
        judging,
        parts[-1],
        criteria=criterion,
        family=f"{spec.name or 'head'}, {TILTED} {what}",
        ridge=ridge,
        parts=parts,
        shipped=shipped,
    )
