"""How OxonFair is run: on which rows, under which of its metrics, with what said of the result."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any

import numpy as np

from evenhand._base.arrays import FloatArray
from evenhand.criteria import Criterion
from evenhand.errors import InputError, MissingExtraError
from evenhand.experiments.methods.logistic import known_rows, require_binary
from evenhand.finetuning.problem import Problem
from evenhand.head import Head
from evenhand.heads.selection.folds import folds
from evenhand.rows import Rows

MOST_GROUPS = {"oxonfair": 3, "oxonfair-inferred": 4}
"""OxonFair's grid has one axis a group: one group more takes minutes, or gigabytes."""


POINTS = 1000
"""How many points the first grid has for more than two groups."""


Pair = tuple[Head, Head]
"""A head for the label and one for the group."""


def load() -> Any:
    """The library.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import oxonfair
    except ImportError as error:
        raise MissingExtraError("oxonfair", "baselines", "oxonfair") from error
    return oxonfair


def usable(problem: Problem, method: str) -> tuple[Rows, Rows]:
    """The train and valid rows of known group.

    Raises:
        InputError: not two classes, fewer than two groups, or too many.
    """
    require_binary(problem.train, method)
    train, valid = (known_rows(part, method) for part in (problem.train, problem.valid))
    groups, most = int((train.groups.sizes > 0).sum()), MOST_GROUPS[method]
    if groups > most:
        raise InputError(
            f"{method} searches the thresholds of all groups together, of {most} at most, "
            f"found {groups}: leave it out or merge groups"
        )
    return train, valid


def held_out(
    train: Rows,
    valid: Rows,
    pair: Pair,
    fit: Callable[[Rows], Pair],
    join: Callable[[Pair, FloatArray], FloatArray],
    seed: int,
) -> tuple[Rows, FloatArray]:
    """The rows thresholds are searched on, with scores of heads that were fitted on other rows.

    The valid rows with the final heads, and the train rows cross-fitted: on the rows a head was
    fitted on its margins look better than they are.

    Args:
        train, valid: rows of known group.
        pair: the heads fitted on all train rows.
        fit: fits both heads on some rows.
        join: (N, …) scores of both heads on (N, d) features.
        seed: of the folds.
    """
    parts, scores = [valid], [join(pair, valid.features)]
    for rest, judged in folds(train, seed=seed):
        part = train[judged]
        parts.append(part)
        scores.append(join(fit(train[rest]), part.features))
    return reduce(operator.add, parts), np.concatenate(scores)


def search(predictor: Any, criterion: Criterion, bound: float, *, fresh: bool) -> tuple[str, ...]:
    """Set a predictor's offsets: the highest accuracy with the gap within ``bound``.

    Args:
        predictor: an OxonFair predictor.
        criterion: whose gap.
        bound: in the units of the results.
        fresh: search; else read the frontier of the last search.

    Returns:
        what a reader should know of the result.
    """
    metric, scale = _metric(criterion)
    groups = len(predictor.offset)
    width = False if groups == 2 else int(POINTS ** (1 / groups))
    accuracy = load().group_metrics.accuracy
    with _silent("oxonfair"):
        predictor.fit(accuracy, metric, bound * scale, recompute=fresh, grid_width=width)
    if predictor.frontier[0][1].min() > bound * scale:
        return (f"no thresholds are within {bound:g} on held-out rows",)
    return ()


def believed(likely: FloatArray, threshold: float, names: Sequence[str]) -> float:
    """The probability from which a group is believed: ``threshold``, or 0 where some group never
    reaches it.

    Raises:
        InputError: some group is never the most probable; OxonFair needs rows of every one.
    """
    best, sure = likely.argmax(axis=1), likely.max(axis=1) >= threshold
    everyone = set(range(likely.shape[1]))
    if set(best[sure].tolist()) == everyone and not sure.all():
        return threshold
    missing = ", ".join(repr(names[code]) for code in sorted(everyone - set(best.tolist())))
    if missing:
        raise InputError(
            f"oxonfair-inferred: no row is inferred to be of group {missing}; leave it out or use "
            "oxonfair, which needs no decision on the group"
        )
    return 0.0


def _metric(criterion: Criterion) -> tuple[Any, float]:
    """OxonFair's metric of ``criterion`` and its scale (its equalized odds is a mean)."""
    from oxonfair.utils import group_metrics
    from oxonfair.utils.group_metric_classes import AddGroupMetrics

    if criterion is Criterion.DEMOGRAPHIC_PARITY:
        return group_metrics.pos_pred_rate.max_diff, 1.0
    if criterion is Criterion.EQUAL_OPPORTUNITY:
        return group_metrics.true_pos_rate.max_diff, 1.0
    both = AddGroupMetrics(
        group_metrics.true_pos_rate.max_diff,
        group_metrics.false_pos_rate.max_diff,
        "equalized odds",
    )
    return both, 0.5


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Without the log lines of a library; what they say is in the notes."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
