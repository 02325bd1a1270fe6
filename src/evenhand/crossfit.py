"""Candidates with cross-fitted counts: every head of the path, judged on rows kept from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import KFold, StratifiedKFold

from evenhand.adapter import Hidden
from evenhand.criteria import Criterion
from evenhand.distributed import ALONE, World
from evenhand.errors import InputError
from evenhand.fold_passes import fit_folds, held_out
from evenhand.gaps import gap_terms
from evenhand.groups import Groups, IntArray
from evenhand.head import Head
from evenhand.rows import FloatArray, Rows
from evenhand.solver import HeadFit, fit_path, wants_passes

STRENGTHS = (0.0, *np.geomspace(0.03, 100, 17).tolist())
OFFSETS = tuple(np.linspace(-1, 1, 25).tolist())
FOLDS = 5
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
WIDE_RIDGES = (0.03, 0.1, 0.3, 1.0)
WIDE = 512
"""Above this many features an untuned, small ridge over-fits: heavier ones are tried."""

Criteria = str | Criterion | dict[str | Criterion, float]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Heads at strengths × offsets, with how they decided on held-out rows.

    Attributes:
        strengths: (S,) of the penalty.
        offsets: (O,) added to the log-odds; (0,) for more than two classes.
        tables: (S, O, G, K, K) cross-fitted counts.
        unknown: (S, O, K, K) the same for rows of unknown group.
        fits: S heads refitted on all rows.
        criteria: what the penalty evened out.
        family: how the candidates were made, such as ``"head"``.
        log_loss: (S,) cross-fitted mean log-loss at offset 0.
        differing: (S, O, K) rows of each label whose held-out decisions differ from those of the
            first strength at offset 0; they tell how sure a difference in error is. None where
            they were not counted.
    """

    strengths: tuple[float, ...]
    offsets: tuple[float, ...]
    tables: IntArray
    unknown: IntArray
    fits: tuple[HeadFit, ...]
    criteria: Criteria
    family: str
    log_loss: npt.NDArray[np.float64]
    differing: IntArray | None = None

    @property
    def totals(self) -> IntArray:
        """(S, O, K, K) confusion matrices over all rows."""
        totals: IntArray = self.tables.sum(axis=2) + self.unknown
        return totals

    def fit(self, index: tuple[int, int]) -> HeadFit:
        """The refitted candidate (strength, offset), the offset moved into its bias."""
        fit = self.fits[index[0]]
        offset = self.offsets[index[1]]
        return replace(fit, head=fit.head.shifted(offset)) if offset else fit


def folds(rows: Rows, *, number: int = FOLDS, seed: int = 0) -> list[tuple[IntArray, IntArray]]:
    """(fit, judge) row numbers of each fold, stratified by group × label where cells allow."""
    if len(rows) < 2 * number:
        raise InputError(f"{number}-fold cross-fitting needs {2 * number} rows, found {len(rows)}")
    cell = (rows.groups.codes + 1) * len(rows.classes) + rows.labels
    rare = np.bincount(cell)[cell] < number
    splitter = KFold if rare.all() else StratifiedKFold
    strata = np.where(rare, cell.max() + 1 + rows.labels, cell)
    strata = np.where(np.bincount(strata)[strata] < number, -1, strata)
    if (strata == -1).any() and (strata == -1).sum() < number:
        strata = rows.labels
        if np.bincount(strata)[strata].min() < number:
            splitter = KFold
    split = splitter(n_splits=number, shuffle=True, random_state=seed)
    return [
        (fit.astype(np.int64), judge.astype(np.int64)) for fit, judge in split.split(strata, strata)
    ]


def fold_numbers(
    rows: Rows, *, number: int = FOLDS, seed: int = 0, world: World = ALONE
) -> npt.NDArray[np.int16]:
    """(N,) the fold that holds each of this process's rows, whatever the processes.

    Rows shared out by ``World.share`` are in the folds they would be in were there one process;
    otherwise the processes' rows follow each other.
    """
    whole = rows
    if world.size > 1:
        labels, codes = world.gather(rows.labels), world.gather(rows.groups.codes)
        lengths = [len(part) for part in labels]
        total = sum(lengths)
        strides = [np.arange(total)[r :: world.size] for r in range(world.size)]
        ends = np.cumsum([0, *lengths])
        places = [np.arange(first, last) for first, last in pairwise(ends)]
        if [len(stride) for stride in strides] == lengths:
            places = strides
        label, code = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int64)
        for place, own_labels, own_codes in zip(places, labels, codes, strict=True):
            label[place], code[place] = own_labels, own_codes
        groups = Groups(code, rows.groups.names, rows.groups.attribute)
        whole = Rows(np.zeros((total, 0)), label, groups, rows.classes)
    found = np.empty(len(whole), dtype=np.int16)
    for index, (_, judge) in enumerate(folds(whole, number=number, seed=seed)):
        found[judge] = index
    return found[places[world.rank]] if world.size > 1 else found


def choose_ridge(
    rows: Rows,
    *,
    seed: int = 0,
    ridges: Sequence[float] | None = None,
    start: Head | None = None,
    world: World = ALONE,
) -> float:
    """The ridge with the lowest cross-validated log-loss, without any penalty.

    Args:
        rows: what the head will be fitted on.
        seed: of the folds.
        ridges: to choose from; by default five from 1e-5 to 1e-1, or from .03 to 1 above 512
            features.
        start: a head to warm-start from.
        world: the processes that share the rows, as for :func:`evenhand.fit_path`.
    """
    tried = tuple(ridges or (WIDE_RIDGES if rows.features.shape[1] > WIDE else RIDGES))
    losses = np.zeros(len(tried))
    if world.size > 1 or wants_passes(rows.features):
        numbers = fold_numbers(rows, seed=seed, world=world)
        fits = fit_folds(rows, numbers, None, ridges=tried, refit=False, start=start, world=world)
        for fold, judged in held_out(rows, numbers, len(fits)):
            for index, one in enumerate(fits[fold]):
                loss = log_loss(one.head.logits(judged.features), judged.labels)
                losses[index] += loss * len(judged)
        return float(tried[int(world.sum(losses).argmin())])
    for fit, judge in folds(rows, seed=seed):
        judged = rows[judge]
        for index, ridge in enumerate(tried):
            head = fit_path(rows[fit], ridge=ridge, start=start)[0].head
            losses[index] += log_loss(head.logits(judged.features), judged.labels) * len(judge)
    return float(tried[int(losses.argmin())])


def log_loss(logits: FloatArray, labels: IntArray) -> float:
    """Mean of -log p of the labels under softmax logits (N, K)."""
    return float(
        torch.nn.functional.cross_entropy(torch.as_tensor(logits), torch.as_tensor(labels))
    )


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
        _family(rank, hidden),
        losses / total,
        differing,
    )


def count_differing(
    logits: FloatArray, plain: IntArray, labels: IntArray, offsets: Sequence[float]
) -> IntArray:
    """(O, K) rows of each label whose decision at each offset differs from ``plain`` (N,)."""
    if logits.shape[1] > 2:
        differ = (logits.argmax(axis=1) != plain)[:, None]
    else:
        margin = logits[:, 1] - logits[:, 0]
        differ = (margin[:, None] + np.asarray(offsets) > 0) != (plain == 1)[:, None]
    counts = [differ[labels == label].sum(axis=0) for label in range(logits.shape[1])]
    return np.stack(counts, axis=-1).astype(np.int64)


def _family(rank: int | None, hidden: Hidden | None) -> str:
    if hidden is not None:
        return f"rank-{rank or 1} adapter + head"
    return "head" if rank is None else f"rank-{rank} head"


def count_offsets(logits: FloatArray, rows: Rows, offsets: Sequence[float]) -> IntArray:
    """(O, G + 1, K, K) counts of the decisions at each offset; the last group is the unknown."""
    g, k = rows.groups.number, len(rows.classes)
    group = np.where(rows.groups.known, rows.groups.codes, g)
    cell = group * k + rows.labels
    if k > 2:
        flat = np.bincount(cell * k + logits.argmax(axis=1), minlength=(g + 1) * k * k)
        return flat.reshape(1, g + 1, k, k).astype(np.int64)
    thresholds = np.sort(-np.asarray(offsets))
    bins = np.searchsorted(thresholds, logits[:, 1] - logits[:, 0], side="left")
    width = len(thresholds) + 1
    histogram = np.bincount(cell * width + bins, minlength=(g + 1) * k * width)
    histogram = histogram.reshape(g + 1, k, width)
    below = histogram.cumsum(axis=-1)[..., :-1]
    above = histogram.sum(axis=-1, keepdims=True) - below
    by_threshold = np.moveaxis(np.stack([below, above], axis=-1), 2, 0)
    order = np.argsort(np.argsort(-np.asarray(offsets)))
    return by_threshold[order].astype(np.int64)
