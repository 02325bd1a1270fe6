"""Reweighing: a logistic head on rows weighted so that group and label are independent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.experiments.methods.logistic import fit_head, known_rows
from evenhand.experiments.methods.method import Method
from evenhand.finetuning.problem import Fitted, Problem, fitted_head
from evenhand.groups import UNKNOWN
from evenhand.rows import Rows


def independence_weights(rows: Rows) -> npt.NDArray[np.float64]:
    """(N,) weights P(group) P(label) / P(group, label); 1 where the group is unknown.

    Under them the label no longer depends on the group (Kamiran and Calders, 2012).
    """
    codes, known = rows.groups.codes, rows.groups.known
    cells = np.zeros((rows.groups.number, len(rows.classes)))
    np.add.at(cells, (codes[known], rows.labels[known]), 1)
    expected = cells.sum(1, keepdims=True) * cells.sum(0) / max(cells.sum(), 1)
    ratio = np.divide(expected, cells, out=np.ones_like(cells), where=cells > 0)
    return np.where(codes == UNKNOWN, 1.0, ratio[codes, rows.labels])


def reweighing(powers: Sequence[float] = (0.5, 1.0)) -> Method:
    """Make the method.

    Args:
        powers: the weights are raised to each of them: 0 is transfer learning, 1 is the method as
            published, between them its frontier.
    """

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        known_rows(problem.train, "reweighing")
        weights = independence_weights(problem.train)
        return [(f"power={power:g}", _at(problem, weights**power)) for power in powers]

    return run


def _at(problem: Problem, weights: npt.NDArray[Any]) -> Fitted:
    return fitted_head(fit_head(problem.train, problem.ridge, weights))
