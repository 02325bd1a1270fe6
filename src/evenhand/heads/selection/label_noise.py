"""Are labels flipped at random? A test of calibration, not of accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import chi2

Floats = npt.NDArray[np.float64]

BINS = 1000
"""So many are enough: a test on a million rows costs what one on these does."""


STARTS = ((1.0, 0.01), (1.5, 0.1), (3.0, 0.3))
"""Where the fit with flips begins: the slope, in slopes of the fit without, and the share."""


def flipped_share(
    log_odds: npt.NDArray[Any], labels: npt.NDArray[Any], bins: int = BINS
) -> tuple[float, float]:
    """The share of labels that look flipped, and the p-value of there being none.

    Were a share e of labels flipped at random, the rows of log-odds z had the second label with
    probability e + (1 - 2 e) sigmoid(a z + b): however sure the model, e of the rows are not as it
    says. A likelihood-ratio test of e > 0 against e = 0, a and b free in both, so that a model that
    is too sure or not sure enough is no noise, and neither are people who are hard to predict: then
    z is near 0, and calibrated. What looks the same, and no test can tell apart, are outcomes that
    stay open however clear the case.

    Args:
        log_odds: (N,) of the second label.
        labels: (N,) 0 or 1.
        bins: of equal rows, in which log-odds are read.

    Returns:
        The share, at most .5, and the p-value: e is at the border of what it may be, so that half
        of chi-square's tail counts.
    """
    order = np.argsort(np.asarray(log_odds, np.float64), kind="stable")
    z, y = np.asarray(log_odds, np.float64)[order], np.asarray(labels, np.float64)[order]
    starts = np.linspace(0, len(z), min(bins, len(z)) + 1).astype(int)[:-1]
    sizes = np.diff(np.append(starts, len(z))).astype(np.float64)
    middle = np.add.reduceat(z, starts) / sizes
    positive = np.add.reduceat(y, starts)
    spread = middle.std()
    if not spread or positive.sum() in (0, len(y)):
        return 0.0, 1.0
    middle = (middle - middle.mean()) / spread
    data = middle, positive, sizes
    plain = minimize(_without, [1.0, 0.0], args=data, jac=True, method="BFGS")
    slope, offset = plain.x
    best, share = float(plain.fun), 0.0
    for times, start in STARTS:
        begin = [slope * times, offset * times, np.log(start / (0.5 - start))]
        found = minimize(_with_flips, begin, args=data, jac=True, method="BFGS")
        if found.fun < best:
            best, share = float(found.fun), float(expit(found.x[2]) / 2)
    statistic = 2 * (float(plain.fun) - best)
    return share, float(chi2.sf(statistic, 1) / 2) if share else 1.0


def _without(at: Floats, z: Floats, positive: Floats, sizes: Floats) -> tuple[float, Floats]:
    odds = at[0] * z + at[1]
    loss = (sizes * np.logaddexp(0, odds) - positive * odds).sum()
    slope = sizes * expit(odds) - positive
    return float(loss), np.array([(slope * z).sum(), slope.sum()])


def _with_flips(at: Floats, z: Floats, positive: Floats, sizes: Floats) -> tuple[float, Floats]:
    share = expit(at[2]) / 2
    clear = expit(at[0] * z + at[1])
    chance = np.clip(share + (1 - 2 * share) * clear, 1e-12, 1 - 1e-12)
    negative = sizes - positive
    loss = -(positive * np.log(chance) + negative * np.log1p(-chance)).sum()
    by_chance = -positive / chance + negative / (1 - chance)
    by_odds = by_chance * (1 - 2 * share) * clear * (1 - clear)
    by_share = (by_chance * (1 - 2 * clear)).sum() * share * (1 - 2 * share)
    return float(loss), np.array([(by_odds * z).sum(), by_odds.sum(), by_share])
