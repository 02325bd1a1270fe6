"""Candidates with cross-fitted counts: every head of the path, judged on rows kept from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from evenhand._base.arrays import IntArray
from evenhand._base.distributed import ALONE, World
from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.adapter import Hidden
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.head_fit import HeadFit, wants_passes
from evenhand.heads.selection.candidates import (
    Candidates,
    Criteria,
    count_differing,
    count_offsets,
    family_name,
)
from evenhand.heads.selection.folds import fold_numbers, folds
from evenhand.heads.selection.ridge import log_loss
from evenhand.heads.streaming.folds import fit_folds, held_out
from evenhand.rows import Rows

STRENGTHS = (0.0, *np.geomspace(0.03, 100, 17).tolist())


OFFSETS = tuple(np.linspace(-1, 1, 25).tolist())


def crossfit(
    rows: Rows,
    criteria: Criteria,
    *,
    ridge: float,
    strengths: Sequence[float] = STRENGTHS,
    offsets: Sequence[float] = OFFSETS,
    start: Head | None = None,
    rank: int | None = None,
    hidden: Hidden | None = None,
    beta: float | None = None,
    intercept: bool = True,
    seed: int = 0,
    on_fit: Callable[[], None] | None = None,
    world: World = ALONE,
) -> Candidates:
    """Fit the path on each fold's other rows, count its decisions on the fold, refit on all.

    Args:
        rows: all development rows: features, labels, groups.
        criteria: what to even out, or a mapping of criteria to weights.
        ridge: see :func:`choose_ridge`.
        strengths: of the penalty, ascending from 0.
        offsets: of the log-odds, for two classes.
        start: the head to begin from.
        rank: fit low-rank heads; with ``hidden``, the adapter's rank.
        hidden: the last hidden layer, whose inputs the rows' features are: adapters are fitted.
        beta: steepness of the soft decisions; the criterion's own by default.
        intercept: the heads have a bias; without one nothing can be added to the log-odds either.
        seed: of the folds.
        on_fit: called after each fit, for a progress bar.
        world: the processes that share the rows, as for :func:`evenhand.fit_path`; all get the same
            candidates. Adapters are fitted by each process on rows it holds whole.
    """
    offsets = tuple(offsets) if len(rows.classes) == 2 and intercept else (0.0,)
    if 0 not in offsets or not strengths or strengths[0] != 0:
        raise InputError(
            "candidates must include transfer learning: strengths from 0, and an offset of 0; "
            f"found strengths {tuple(strengths)} and offsets {offsets}"
        )

    def fit(part: Rows) -> list[HeadFit]:
        terms = gap_terms(part.labels, part.groups, part.classes, criteria, beta=beta)
        return fit_path(
            part,
            strengths,
            terms,
            ridge=ridge,
            start=start,
            rank=rank,
            hidden=hidden,
            seed=seed,
            intercept=intercept,
            on_fit=on_fit,
        )

    g, k = rows.groups.number, len(rows.classes)
    counts = np.zeros((len(strengths), len(offsets), g + 1, k, k), dtype=np.int64)
    losses = np.zeros(len(strengths))
    differing = np.zeros((len(strengths), len(offsets), k), dtype=np.int64)

    def judge(fits: Sequence[HeadFit], judged: Rows) -> None:
        plain: IntArray | None = None
        for index, one in enumerate(fits):
            logits = one.logits(judged.features)
            plain = logits.argmax(axis=1) if plain is None else plain
            differing[index] += count_differing(logits, plain, judged.labels, offsets)
            counts[index] += count_offsets(logits, judged, offsets)
            losses[index] += log_loss(logits, judged.labels) * len(judged)

    if hidden is None and (world.size > 1 or wants_passes(rows.features)):
        numbers = fold_numbers(rows, seed=seed, world=world)
        *by_fold, refitted = fit_folds(
            rows,
            numbers,
            criteria,
            ridges=(ridge,),
            strengths=strengths,
            beta=beta,
            start=start,
            rank=rank,
            intercept=intercept,
            on_fit=on_fit,
            world=world,
        )
        for fold, judged in held_out(rows, numbers, len(by_fold)):
            judge(by_fold[fold], judged)
        counts, losses, differing = (world.sum(each) for each in (counts, losses, differing))
        total = int(counts[0, 0].sum())
    else:
        for fitted, judged_rows in folds(rows, seed=seed):
            judge(fit(rows[fitted]), rows[judged_rows])
        refitted, total = fit(rows), len(rows)
    return Candidates(
        tuple(strengths),
        offsets,
        counts[:, :, :g],
        counts[:, :, g],
        tuple(refitted),
        criteria,
        family_name(rank, hidden),
        losses / total,
        differing,
    )
