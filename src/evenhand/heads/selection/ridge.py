"""The ridge with the lowest cross-validated log-loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evenhand.heads.selection.decisions import Judging
from evenhand.heads.selection.folds import fold_numbers
from evenhand.heads.selection.parts import fit_parts_of
from evenhand.heads.selection.views import Views, seen_alike
from evenhand.heads.spec import DEFAULT_CONTROL, DEFAULT_SPEC, FitControl, HeadSpec
from evenhand.heads.streaming.folds import chunks, origin
from evenhand.rows import Rows

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


WIDE_RIDGES = (3e-3, 1e-2, 0.03, 0.1, 0.3, 1.0)


WIDE = 512
"""Above this many features an untuned, small ridge over-fits: heavier ones are tried."""


LARGEST_VARIANCE = 1e28


def choose_ridge(
    rows: Rows,
    spec: HeadSpec = DEFAULT_SPEC,
    *,
    ridges: Sequence[float] | None = None,
    control: FitControl = DEFAULT_CONTROL,
    views: Views | None = None,
) -> float:
    """The ridge with the lowest cross-validated log-loss, without any penalty.

    Args:
        rows: what the head will be fitted on.
        spec: what will be fitted: whether with an intercept, towards which anchor.
        ridges: to choose from; by default five from 1e-5 to 1e-1 times the features' mean variance,
            or six from .003 to 1 times it above 512 features.
        control: where to begin, the folds' seed.
        views: the rows as a model sees them that was trained without each fold; without, all folds
            see them alike.

    Raises:
        InputError: too few rows or classes, or features that are not finite.

    Example:
        >>> 1e-5 <= eh.heads.choose_ridge(rows) <= 1e-1
        True
    """  # noqa: DOC502
    spec = replace(spec, rank=None, left_out=())
    tried = ridges or ridge_grid(rows)
    if views is None:
        numbers = fold_numbers(rows, seed=control.seed)
        by_fold = fit_parts_of(
            rows, numbers, spec, None, ridges=tried, strengths=(0.0,), refit=False, control=control
        )
        seen = seen_alike(rows, numbers)
    else:
        by_ridge = [views.fit(replace(spec, ridge=one), None, (0.0,), control) for one in tried]
        by_fold = [[next(fits)[0] for fits in by_ridge] for _ in views.without]
        seen = views.held_out()
    judging = Judging(rows, len(tried), (0.0,))
    for fold, places, judged, _ in seen:
        judging.add(places, (fit.logits(judged.features) for fit in by_fold[fold]))
    return float(tried[int(judging.log_loss().argmin())])


def ridge_grid(rows: Rows) -> tuple[float, ...]:
    """The ridges to choose from: shares of the features' mean variance, heavier for wide ones.

    A ridge weighs against w what the features' variance weighs against it: in other units the same
    shares give the same decisions.
    """
    shares = WIDE_RIDGES if rows.features.shape[1] > WIDE else RIDGES
    variance = mean_variance(rows)
    return tuple(float(share * variance) for share in shares)


def mean_variance(rows: Rows) -> float:
    """The mean, over the features, of their variance over the rows of all processes.

    1 where they do not vary, and where their squares overflow: fits refuse such features by name.
    """
    shift = origin(rows)
    sums, first = np.zeros((2, len(shift))), 0
    with np.errstate(all="ignore"):
        for part in chunks(rows.features):
            values = part - shift
            one = None
            if rows.weights is not None:
                one = rows.weights.values[first : first + len(part)]
            first += len(part)
            for place, powers in enumerate((values, values**2)):
                sums[place] += powers.sum(axis=0) if one is None else one @ powers
        means, squares = rows.world.sum(sums) / max(rows.total_weight, 1e-300)
        variance = float((squares - means**2).mean()) if len(shift) else 0.0
    return variance if 0 < variance < LARGEST_VARIANCE else 1.0
