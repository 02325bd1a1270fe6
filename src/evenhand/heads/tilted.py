"""Heads for the worst cell: the tilted mean of the cells' log-losses, from their mean to the worst.

Minimised is ``1/tilt log mean over cells of exp(tilt * L_c) + 1/2 ridge ||w||^2``, L_c the mean
log-loss of a cell's rows (tilted empirical risk, Li et al. 2021). At a tilt of 0 it is the mean
over the cells, each as heavy as any other: the balanced cells of deep feature reweighting
(Kirichenko et al. 2023) without leaving rows out. As the tilt grows it is the largest L_c: group
distributionally robust optimisation (Sagawa et al. 2020), to convergence, since the objective is
convex and smooth at every tilt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax

from evenhand._base.arrays import Float64, IntArray
from evenhand.errors import InputError
from evenhand.head import Head
from evenhand.heads.head_fit import HeadFit
from evenhand.rows import Rows

TILTS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0)
"""At the last one the objective is within log(cells) / 100 of the worst cell's loss."""

ITERATIONS, TOLERANCE = 500, 1e-6


def cells_of(rows: Rows, *, by_label: bool = True) -> IntArray:
    """(N,) each row's cell: its group, and its label too where ``by_label``; -1 where unknown."""
    codes = rows.groups.codes
    cell = codes * len(rows.classes) + rows.labels if by_label else codes
    return np.where(rows.groups.known, cell, -1).astype(np.int64)


def fit_tilted(
    rows: Rows,
    cell: IntArray,
    *,
    ridge: float,
    tilts: Sequence[float] = TILTS,
) -> list[HeadFit]:
    """A head for every tilt, each begun at the one before; rows of no cell are left out.

    Args:
        rows: features, labels and classes, in memory.
        cell: (N,) from :func:`cells_of`.
        ridge: of 1/2 ridge ||w||^2; for two classes w is the difference of W's columns.
        tilts: ascending from 0.

    Raises:
        InputError: no row is in a cell, or a tilt is negative.

    Example:
        >>> from evenhand.heads.tilted import cells_of, fit_tilted
        >>> mean, worst = fit_tilted(rows, cells_of(rows), ridge=1e-3, tilts=(0.0, 30.0))
        >>> worst.head.weight.shape
        (3, 2)
    """
    inside = np.flatnonzero(cell >= 0)
    if rows.weights is not None:  # a cell of no weight has no mean
        inside = inside[rows.weights.values[inside] > 0]
    if not inside.size:
        raise InputError("no row is in a cell: the groups are unknown")
    if min(tilts) < 0:
        raise InputError(f"a tilt is at least 0, found {min(tilts)}")
    objective = _Objective(rows[inside], cell[inside], ridge)
    at, found = np.zeros(objective.size), []
    for tilt in tilts:
        end = minimize(
            objective,
            at,
            args=(tilt,),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": ITERATIONS, "gtol": TOLERANCE, "maxcor": 20},
        )
        at = end.x
        found.append(HeadFit(objective.head(at), tilt, float(end.fun), int(end.nfev), end.success))
    return found


class _Objective:
    """The tilted loss and its gradient, in coordinates in which the features are uncorrelated."""

    def __init__(self, rows: Rows, cell: IntArray, ridge: float) -> None:
        self.features = np.asarray(rows.features, dtype=np.float64)
        own = np.ones(len(rows)) if rows.weights is None else rows.weights.values
        self.centre = own @ self.features / own.sum()
        self.labels, self.classes, self.ridge = rows.labels, len(rows.classes), ridge
        _, self.cell = np.unique(cell, return_inverse=True)
        self.share = own / np.bincount(self.cell, own)[self.cell]
        columns = 1 if self.classes == 2 else self.classes
        self.shape = (self.features.shape[1] + 1, columns)
        self.size = self.shape[0] * self.shape[1]
        self.features -= self.centre
        gram = self.features.T @ (self.features * own[:, None]) / own.sum()
        gram[np.diag_indices_from(gram)] += 4 * ridge + 1e-9 * max(1.0, float(np.trace(gram)))
        self.factor = cholesky(gram, lower=False)
        self.hits = np.eye(self.classes)[self.labels]

    def __call__(self, at: Float64, tilt: float) -> tuple[float, Float64]:
        scaled, bias = self._parts(at)
        weight = solve_triangular(self.factor, scaled)
        scores = self.features @ weight + bias
        if self.classes == 2:
            scores = np.column_stack([np.zeros(len(scores)), scores[:, 0]])
        log_share = log_softmax(scores, axis=1)
        loss = -np.take_along_axis(log_share, self.labels[:, None], axis=1)[:, 0]
        of_cells = np.bincount(self.cell, loss * self.share)
        if tilt > 0:
            value = float(logsumexp(tilt * of_cells) - np.log(len(of_cells))) / tilt
            share = softmax(tilt * of_cells)
        else:
            value, share = float(of_cells.mean()), np.full(len(of_cells), 1 / len(of_cells))
        slope = (np.exp(log_share) - self.hits) * (share[self.cell] * self.share)[:, None]
        slope = slope[:, 1:] if self.classes == 2 else slope
        inner = self.features.T @ slope + self.ridge * weight
        gradient = solve_triangular(self.factor, inner, trans="T")
        value += 0.5 * self.ridge * float((weight**2).sum())
        return value, np.concatenate([gradient.ravel(), slope.sum(axis=0)])

    def head(self, at: Float64) -> Head:
        """The head at a point."""
        scaled, bias = self._parts(at)
        weight = solve_triangular(self.factor, scaled)
        bias = bias - self.centre @ weight
        if self.classes == 2:
            weight, bias = (np.column_stack([-one, one]) / 2 for one in (weight, bias[None]))
            bias = bias[0]
        return Head(weight, bias)

    def _parts(self, at: Float64) -> tuple[Float64, Float64]:
        shaped = at.reshape(self.shape)
        return shaped[:-1], shaped[-1]
