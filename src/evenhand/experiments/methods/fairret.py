"""fairret: a differentiable penalty on the groups' rates, added to the log-loss of a head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from evenhand.criteria import Criterion
from evenhand.errors import MissingExtraError
from evenhand.experiments.methods.logistic import fit_head, known_rows, one_hot, require_binary
from evenhand.experiments.methods.method import Method
from evenhand.finetuning.problem import Fitted, Problem, fitted_head
from evenhand.head import Head
from evenhand.report.record import UNCONVERGED
from evenhand.report.setting import Setting
from evenhand.rows import Rows

CRITERIA = (Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY)


STRENGTHS = (0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3)


ITERATIONS = 100


RESTARTS = 10


TOLERANCE = 1e-6
"""A fit has converged when a restart lowers the loss by less."""


def fairret(
    criteria: Sequence[Criterion | str] = CRITERIA, strengths: Sequence[float] = STRENGTHS
) -> Method:
    """Make fairret's norm penalty on a logistic head (Buyl et al., ICLR 2024).

    ``mean log-loss + ½ ridge ‖w‖² + strength · Σ |rate of a group / rate of all - 1|`` over the
    groups, and for equalized odds over the true- and the false-positive rate, with rates of
    probabilities. Full batch, float64, L-BFGS, from one strength to the next; the ridge is transfer
    learning's.

    Args:
        criteria: the penalties, each with every strength.
        strengths: how much the penalty weighs, ascending.
    """

    def run(problem: Problem) -> Sequence[tuple[Setting, Fitted]]:
        require_binary(problem.train, "fairret")
        known_rows(problem.train, "fairret")
        from evenhand._base.threads import one_thread

        start = fit_head(problem.train, problem.ridge)
        settings = []
        with one_thread():
            for criterion in map(Criterion.parse, criteria):
                path = _path(problem.train, start, problem.ridge, criterion, strengths)
                for strength, (head, converged) in zip(strengths, path, strict=True):
                    notes = () if converged else (UNCONVERGED,)
                    setting = Setting.evening(criterion, f" strength={strength:g}")
                    settings.append((setting, fitted_head(head, notes=notes)))
        return settings

    return run


def _penalty(criterion: Criterion) -> Any:
    try:
        from fairret.loss import NormLoss
        from fairret.statistic import (
            FalsePositiveRate,
            PositiveRate,
            StackedLinearFractionalStatistic,
            TruePositiveRate,
        )
    except ImportError as error:
        raise MissingExtraError("fairret", "baselines", "fairret") from error
    if criterion is Criterion.DEMOGRAPHIC_PARITY:
        return NormLoss(PositiveRate())
    if criterion is Criterion.EQUAL_OPPORTUNITY:
        return NormLoss(TruePositiveRate())
    return NormLoss(StackedLinearFractionalStatistic(TruePositiveRate(), FalsePositiveRate()))


def _path(
    rows: Rows, start: Head, ridge: float, criterion: Criterion, strengths: Sequence[float]
) -> list[tuple[Head, bool]]:
    """A head for every strength, and whether its fit converged."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    penalty = _penalty(criterion)
    features = torch.from_numpy(np.asarray(rows.features, dtype=np.float64))
    target = torch.from_numpy(rows.labels.astype(np.float64))
    known = torch.from_numpy(np.flatnonzero(rows.groups.known))
    codes = rows.groups.codes[rows.groups.known]
    present = np.flatnonzero(rows.groups.sizes)
    indicators = torch.from_numpy(one_hot(np.searchsorted(present, codes), len(present)))
    labelled = () if criterion is Criterion.DEMOGRAPHIC_PARITY else (target[known, None],)

    def loss(strength: float, point: npt.NDArray[np.float64]) -> tuple[float, Any]:
        numbers = torch.from_numpy(point).requires_grad_()
        logits = features @ numbers[:-1] + numbers[-1]
        fair = penalty(logits[known, None], indicators, *labelled)
        plain = binary_cross_entropy_with_logits(logits, target)
        value = plain + ridge / 2 * numbers[:-1].square().sum() + strength * fair
        (slope,) = torch.autograd.grad(value, numbers)
        return float(value.detach()), slope.numpy()

    log_odds = Head(start.weight[:, 1:] - start.weight[:, :1], start.bias[1:] - start.bias[:1])
    point = np.append(log_odds.weight[:, 0], log_odds.bias).astype(np.float64)
    path = []
    for strength in strengths:
        point, converged = _minimise(partial(loss, strength), point)
        half = np.array([-0.5, 0.5])
        path.append((Head(np.outer(point[:-1], half), point[-1] * half), converged))
    return path


def _minimise(
    loss: Callable[[npt.NDArray[np.float64]], tuple[float, Any]], point: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], bool]:
    """L-BFGS, restarted where it stalls on a kink of the penalty; whether the loss has settled."""
    last, _ = loss(point)
    for _ in range(RESTARTS):
        # A line search that fails on a kink is no error: the restart tells whether it mattered.
        found = minimize(
            loss, point, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS, "maxcor": 20}
        )
        point = np.asarray(found.x, dtype=np.float64)
        if last - float(found.fun) < TOLERANCE:
            return point, True
        last = float(found.fun)
    return point, False
