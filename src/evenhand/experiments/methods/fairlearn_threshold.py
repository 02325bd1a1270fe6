"""Fairlearn's ThresholdOptimizer: one threshold a group, so it must know the group to predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from evenhand.criteria import Criterion
from evenhand.errors import MissingExtraError
from evenhand.experiments.methods.logistic import (
    as_estimator,
    fit_head,
    known_rows,
    query_groups,
    require_binary,
)
from evenhand.experiments.methods.method import Method
from evenhand.finetuning.problem import Fitted, Problem, Queries
from evenhand.groups import UNKNOWN
from evenhand.report.setting import Setting

CONSTRAINTS = {
    Criterion.EQUALIZED_ODDS: "equalized_odds",
    Criterion.DEMOGRAPHIC_PARITY: "demographic_parity",
    Criterion.EQUAL_OPPORTUNITY: "true_positive_rate_parity",
}


NUMBERS_A_GROUP = 4
"""Two thresholds, the share of each, and the share decided by a coin."""


def threshold_optimizer(
    criteria: Sequence[Criterion | str] = (
        Criterion.EQUALIZED_ODDS,
        Criterion.DEMOGRAPHIC_PARITY,
    ),
) -> Method:
    """Make fairlearn's ThresholdOptimizer on a logistic head, scored by expectation.

    Thresholds (two a group, drawn between) are set on the train rows for the highest accuracy at
    a gap of zero (Hardt et al., 2016). A row of unknown group is decided by the head alone.
    """

    def run(problem: Problem) -> Sequence[tuple[Setting, Fitted]]:
        require_binary(problem.train, "threshold-optimizer")
        known = known_rows(problem.train, "threshold-optimizer")
        try:
            from fairlearn.postprocessing import ThresholdOptimizer
        except ImportError as error:
            raise MissingExtraError("fairlearn", "baselines", "threshold-optimizer") from error

        base = as_estimator(fit_head(problem.train, problem.ridge))
        settings = []
        for criterion in map(Criterion.parse, criteria):
            optimizer = ThresholdOptimizer(
                estimator=base,
                constraints=CONSTRAINTS[criterion],
                prefit=True,
                predict_method="predict_proba",
            )
            features = np.asarray(known.features, dtype=np.float64)
            optimizer.fit(features, known.labels, sensitive_features=known.groups.codes)
            fitted = _fitted(optimizer, base, known.groups.number)
            settings.append((Setting.evening(criterion), fitted))
        return settings

    return run


def _fitted(optimizer: Any, base: LogisticRegression, groups: int) -> Fitted:
    def predict(queries: Queries) -> npt.NDArray[np.float64]:
        codes = query_groups(queries, "threshold-optimizer").codes
        features = np.asarray(queries.features, dtype=np.float64)
        deciding: npt.NDArray[np.float64] = np.eye(2)[base.predict(features)]
        known = codes != UNKNOWN
        if known.any():
            deciding[known] = optimizer._pmf_predict(
                features[known], sensitive_features=codes[known]
            )
        return deciding

    return Fitted(
        predict,
        2 * (base.coef_.size + 1) + NUMBERS_A_GROUP * groups,
        randomised=True,
        needs_group=True,
        notes=("needs the group at prediction", "draws between thresholds, scored by expectation"),
    )
