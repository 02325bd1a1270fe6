"""OxonFair without the group at prediction: a second head infers it, and both are merged to one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge

from evenhand.criteria import Criterion
from evenhand.errors import InputError, MissingExtraError
from evenhand.head import Head
from evenhand.methods.base import Fitted, Method, Problem, Queries, fitted_head
from evenhand.methods.logistic import (
    choose_ridge,
    known_rows,
    one_hot,
    probabilities,
    require_binary,
)
from evenhand.rows import FloatArray, Rows

CRITERIA = (Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY)
BOUNDS = (0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3)
MOST_GROUPS = {"oxonfair": 3, "oxonfair-inferred": 4}
"""OxonFair searches a grid with one axis a group; with one group more it takes minutes, or gigabytes."""
POINTS = 1000
"""How many points the search's first grid has for more than two groups."""


def oxonfair(
    criteria: Sequence[Criterion | str] = CRITERIA, bounds: Sequence[float] = BOUNDS
) -> Method:
    """Make OxonFair's attribute-blind form for deep networks (Delaney et al., 2024).

    One head gives the log-odds z, another (ridge regression on the group's indicators) infers the
    group a; on the valid rows OxonFair searches z + c·a + b for the highest accuracy within each
    bound. Both heads are linear, so the result is one linear head.

    Args:
        criteria: the constraints, each with every bound; one search serves all bounds.
        bounds: gaps, in the units of the results (ΔEO sums two rates).
    """

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        require_binary(problem.train, "oxonfair")
        try:
            from oxonfair import DeepFairPredictor
        except ImportError as error:
            raise MissingExtraError("oxonfair", "baselines", "oxonfair") from error

        label, _ = choose_ridge(problem.train, problem.valid)
        valid = known_rows(problem.valid, "oxonfair")
        present = np.flatnonzero(valid.groups.sizes)
        _limit(len(present), "oxonfair")
        weight, bias = _group_head(known_rows(problem.train, "oxonfair"), present)
        log_odds = _log_odds(label, valid.features)
        scores = np.column_stack([log_odds, valid.features @ weight + bias])
        codes = np.searchsorted(present, valid.groups.codes)
        # The fast start of the search fails where some group is never the most probable one.
        everyone = len(np.unique(scores[:, 1:].argmax(axis=1))) == len(present)
        fast = "hybrid" if len(present) == 2 and everyone else False
        settings = []
        for criterion in map(Criterion.parse, criteria):
            predictor = DeepFairPredictor(valid.labels, scores, codes, use_fast=fast)
            for number, bound in enumerate(bounds):
                notes = _search(predictor, criterion, bound, fresh=number == 0)
                head = _merged(label, weight, bias, -predictor.offset[:, 0])
                trainable = 2 * label.trainable_parameters + predictor.offset.shape[0]
                setting = f"{criterion.abbreviation}<={bound:g}"
                settings.append((setting, fitted_head(head, trainable, notes=notes)))
        return settings

    return run


def oxonfair_inferred(
    criteria: Sequence[Criterion | str] = CRITERIA,
    bounds: Sequence[float] = BOUNDS,
    threshold: float = 2 / 3,
) -> Method:
    """Make OxonFair's general attribute-blind form: a threshold for every inferred group.

    A classifier infers the group of a row, or "unsure" where no group is as probable as
    ``threshold``; each inferred group has its own offset on the probability of the positive class.

    Args:
        criteria, bounds: as for ``oxonfair``.
        threshold: the probability from which a group is believed (OxonFair's default).
    """

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        require_binary(problem.train, "oxonfair-inferred")
        try:
            from oxonfair import DataDict, FairPredictor
        except ImportError as error:
            raise MissingExtraError("oxonfair", "baselines", "oxonfair-inferred") from error

        label, _ = choose_ridge(problem.train, problem.valid)
        train, valid = (
            known_rows(part, "oxonfair-inferred") for part in (problem.train, problem.valid)
        )
        _limit(train.groups.number, "oxonfair-inferred")
        group, _ = choose_ridge(_group_rows(train), _group_rows(valid))
        likely = probabilities(group, valid.features)
        believed = _believed(likely, threshold, valid.groups.names)
        data = DataDict(valid.labels, np.asarray(valid.features), valid.groups.codes)
        settings = []
        for criterion in map(Criterion.parse, criteria):
            predictor = FairPredictor(
                partial(probabilities, label),
                data,
                inferred_groups=partial(probabilities, group),
                threshold=believed,
            )
            for number, bound in enumerate(bounds):
                notes = _search(predictor, criterion, bound, fresh=number == 0)
                trainable = label.trainable_parameters + group.trainable_parameters
                fitted = Fitted(
                    _scores(copy(predictor)), trainable + len(predictor.offset), notes=notes
                )
                settings.append((f"{criterion.abbreviation}<={bound:g}", fitted))
        return settings

    return run


def _group_head(rows: Rows, present: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """(d, P) and (P,): ridge regression of the P present groups' indicators on the features."""
    codes = np.searchsorted(present, rows.groups.codes)
    kept = np.isin(rows.groups.codes, present)
    model = Ridge(alpha=1e-3 * max(int(kept.sum()), 1))
    model.fit(np.asarray(rows.features[kept], dtype=np.float64), one_hot(codes[kept], len(present)))
    return model.coef_.T, model.intercept_


def _limit(groups: int, method: str) -> None:
    most = MOST_GROUPS[method]
    if groups > most:
        raise InputError(
            f"{method} searches one threshold a group jointly, for {most} groups at most, "
            f"found {groups}: leave it out or merge groups"
        )


def _believed(likely: FloatArray, threshold: float, names: Sequence[str]) -> float:
    """The threshold from which a group is believed, 0 where some group never reaches it.

    Raises:
        InputError: some group is never the most probable one; OxonFair needs rows of every one.
    """
    best, sure = likely.argmax(axis=1), likely.max(axis=1) >= threshold
    everyone = set(range(likely.shape[1]))
    if set(best[sure].tolist()) == everyone and not sure.all():
        return threshold
    missing = sorted(everyone - set(best.tolist()))
    if missing:
        raise InputError(
            "oxonfair-inferred: no valid row is inferred to be of group "
            f"{', '.join(repr(names[code]) for code in missing)}; "
            "leave it out or use oxonfair, which needs no decision on the group"
        )
    return 0.0


def _group_rows(rows: Rows) -> Rows:
    """The rows with their group as the label."""
    return Rows(rows.features, rows.groups.codes, rows.groups, rows.groups.names)


def _scores(predictor: Any) -> Callable[[Queries], FloatArray]:
    def predict(queries: Queries) -> FloatArray:
        scores: FloatArray = predictor.predict_proba({"data": np.asarray(queries.features)})
        return scores

    return predict


def _log_odds(head: Head, features: FloatArray) -> FloatArray:
    logits = head.logits(features)
    difference: FloatArray = logits[:, 1] - logits[:, 0]
    return difference


def _merged(label: Head, weight: FloatArray, bias: FloatArray, mix: FloatArray) -> Head:
    """The head whose log-odds are the label's plus Σ_g mix_g · (indicator of group g)."""
    half = np.array([-0.5, 0.5])
    moved, shift = (weight @ mix)[:, None] * half, (bias @ mix) * half
    return Head(label.weight + moved, label.bias + shift)


def _constraint(criterion: Criterion) -> tuple[Any, float]:
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


def _search(predictor: Any, criterion: Criterion, bound: float, fresh: bool) -> tuple[str, ...]:
    """Set the predictor's offsets for a bound; what a reader should know of it."""
    from oxonfair.utils import group_metrics

    metric, scale = _constraint(criterion)
    with _silent("oxonfair"):
        groups = len(predictor.offset)
        width = False if groups == 2 else int(POINTS ** (1 / groups))
        predictor.fit(
            group_metrics.accuracy, metric, bound * scale, recompute=fresh, grid_width=width
        )
    if predictor.frontier[0][1].min() > bound * scale:
        return (f"no pair of thresholds is within {bound:g} on valid",)
    return ()


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
