"""OxonFair without the group at prediction: the group is inferred (Delaney et al., 2024)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge

from evenhand._base.arrays import FloatArray
from evenhand.criteria import Criterion
from evenhand.experiments.methods.logistic import fit_head, one_hot, probabilities
from evenhand.experiments.methods.method import Method
from evenhand.experiments.methods.oxonfair_search import (
    Pair,
    believed,
    held_out,
    load,
    search,
    usable,
)
from evenhand.finetuning.problem import Fitted, Problem, Queries, fitted_head
from evenhand.head import Head
from evenhand.heads.selection.ridge import choose_ridge
from evenhand.heads.spec import FitControl
from evenhand.report.setting import Setting
from evenhand.rows import Rows

CRITERIA = (Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY)


BOUNDS = (0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3)


def oxonfair(
    criteria: Sequence[Criterion | str] = CRITERIA, bounds: Sequence[float] = BOUNDS
) -> Method:
    """Make OxonFair's form for deep networks: two heads, merged to one.

    One head gives the log-odds z, another (ridge regression of the groups' indicators) infers the
    group a; OxonFair searches z + c·a + b for the highest accuracy within each bound, on rows the
    heads were not fitted on. Both are linear, so the result is one linear head.

    Args:
        criteria: the constraints, each with every bound; one search serves all bounds.
        bounds: gaps, in the units of the results (ΔEO sums two rates).
    """

    def run(problem: Problem) -> Sequence[tuple[Setting, Fitted]]:
        library = load()
        train, valid = usable(problem, "oxonfair")
        present = np.flatnonzero(train.groups.sizes)

        def fit(rows: Rows) -> Pair:
            return fit_head(rows, problem.ridge), _indicator_head(rows, present)

        label, group = fit_head(problem.train, problem.ridge), _indicator_head(train, present)
        rows, scores = held_out(train, valid, (label, group), fit, _log_odds, problem.seed)
        codes = np.searchsorted(present, rows.groups.codes)
        # The fast start of the search fails where some group is never the most probable one.
        seen = len(np.unique(scores[:, 1:].argmax(axis=1)))
        fast = "hybrid" if seen == len(present) == 2 else False
        settings = []
        for criterion in map(Criterion.parse, criteria):
            predictor = library.DeepFairPredictor(rows.labels, scores, codes, use_fast=fast)
            for number, bound in enumerate(bounds):
                notes = search(predictor, criterion, bound, fresh=number == 0)
                head = merged(label, group, -predictor.offset[:, 0])
                trainable = label.trainable_parameters + group.trainable_parameters + len(present)
                setting = Setting.evening(criterion, f"<={bound:g}")
                settings.append((setting, fitted_head(head, trainable, notes=notes)))
        return settings

    return run


def oxonfair_inferred(
    criteria: Sequence[Criterion | str] = CRITERIA,
    bounds: Sequence[float] = BOUNDS,
    threshold: float = 2 / 3,
) -> Method:
    """Make OxonFair's general form: a threshold for every inferred group.

    A classifier infers the group of a row, or "unsure" where no group is as probable as
    ``threshold``; each has its own offset on the probability of the positive class.

    Args:
        criteria, bounds: as for :func:`oxonfair`.
        threshold: the probability from which a group is believed (OxonFair's default).
    """

    def run(problem: Problem) -> Sequence[tuple[Setting, Fitted]]:
        library = load()
        train, valid = usable(problem, "oxonfair-inferred")
        ridge = choose_ridge(_as_labels(train), control=FitControl(seed=problem.seed))

        def fit(rows: Rows) -> Pair:
            return fit_head(rows, problem.ridge), fit_head(_as_labels(rows), ridge)

        pair = fit_head(problem.train, problem.ridge), fit_head(_as_labels(train), ridge)
        rows, scores = held_out(train, valid, pair, fit, _probabilities, problem.seed)
        sure = believed(scores[:, 2:], threshold, train.groups.names)
        trainable = sum(head.trainable_parameters for head in pair)
        settings = []
        for criterion in map(Criterion.parse, criteria):
            predictor = library.FairPredictor(
                _of_label,
                library.DataDict(rows.labels, scores, rows.groups.codes),
                inferred_groups=_of_group,
                threshold=sure,
            )
            for number, bound in enumerate(bounds):
                notes = search(predictor, criterion, bound, fresh=number == 0)
                # A copy keeps these offsets; the next bound gives the predictor new ones.
                predict = _predictor(copy(predictor), pair)
                fitted = Fitted(predict, trainable + len(predictor.offset), notes=notes)
                settings.append((Setting.evening(criterion, f"<={bound:g}"), fitted))
        return settings

    return run


def merged(label: Head, group: Head, mix: FloatArray) -> Head:
    """The head whose log-odds are the label's plus Σ_g mix_g · (score of group g).

    Args:
        label: (d, 2) the label's head.
        group: (d, G) the groups' head.
        mix: (G,) how much of each is added.
    """
    half = np.array([-0.5, 0.5])
    moved, shift = (group.weight @ mix)[:, None] * half, (group.bias @ mix) * half
    return Head(label.weight + moved, label.bias + shift)


def _indicator_head(rows: Rows, present: npt.NDArray[np.int64]) -> Head:
    """Ridge regression of the present groups' indicators on the features."""
    codes = np.searchsorted(present, rows.groups.codes)
    model = Ridge(alpha=1e-3 * len(rows))
    model.fit(np.asarray(rows.features, dtype=np.float64), one_hot(codes, len(present)))
    return Head(model.coef_.T, model.intercept_)


def _log_odds(pair: Pair, features: FloatArray) -> FloatArray:
    """(N, 1 + G) the label's log-odds and the groups' scores."""
    label, group = (head.logits(features) for head in pair)
    return np.column_stack([label[:, 1] - label[:, 0], group])


def _probabilities(pair: Pair, features: FloatArray) -> FloatArray:
    """(N, 2 + G) the label's and the groups' probabilities."""
    return np.hstack([probabilities(head, features) for head in pair])


def _of_label(scores: FloatArray) -> FloatArray:
    # A copy: OxonFair adds its offsets in place.
    return scores[:, :2].copy()


def _of_group(scores: FloatArray) -> FloatArray:
    return scores[:, 2:]


def _as_labels(rows: Rows) -> Rows:
    """The rows with their group as the label."""
    return Rows(rows.features, rows.groups.codes, rows.groups, rows.groups.names)


def _predictor(predictor: Any, pair: Pair) -> Callable[[Queries], FloatArray]:
    def predict(queries: Queries) -> FloatArray:
        data = {"data": _probabilities(pair, queries.features)}
        scores: FloatArray = predictor.predict_proba(data)
        return scores

    return predict
