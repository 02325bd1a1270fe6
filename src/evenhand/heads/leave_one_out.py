"""What an adapted network would give for each row, fitted without it: from one fit (METHOD 6.6).

Left out, a row takes with it its part of the log-loss, and its part of its cell's mean in the
penalty. One Newton step from the fit tells where that leads, and how the row's own log-odds follow.
With J (N, p) their slopes, H = Jᵀ diag(p (1 - p) / n) J and the second derivatives of the ridge and
the penalty, and hᵢ = Jᵢ H⁻¹ Jᵢᵀ,

    z₋ᵢ = zᵢ + (hᵢ (pᵢ - yᵢ) / n - strength Jᵢ H⁻¹ gᵢ) / (1 - hᵢ pᵢ (1 - pᵢ) / n),

gᵢ the change of the penalty's gradient when row i leaves its cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag, cho_solve
from scipy.linalg.lapack import dtrtri

from evenhand._base.arrays import Float64, FloatArray, IntArray
from evenhand.heads.adapter_slopes import AdapterSlopes
from evenhand.heads.gaps import GapTerm, penalty_of_means
from evenhand.heads.logits import sigmoid

HELD = 1 << 22
"""Numbers of the slopes held at a time: J is made anew for so many rows, never whole."""


DAMPING = 1e-6
"""Of the mean curvature, added in every direction: D may grow as E shrinks and nothing changes."""


def left_out_log_odds(
    slopes: AdapterSlopes,
    inputs: FloatArray,
    labels: IntArray,
    odds: Float64,
    terms: Sequence[GapTerm],
    strength: float,
) -> Float64 | None:
    """(N,) the log-odds that the network fitted without each row gives it, to first order.

    Args:
        slopes: of the network fitted on all rows, each of weight 1.
        inputs: (N, in) what its hidden layer reads.
        labels: (N,) 0 or 1.
        odds: (N,) its log-odds.
        terms: the gap penalties it was fitted with.
        strength: of these.

    Returns:
        The log-odds; None where the fit lies at no minimum, from which nothing can be told.
    """
    n = len(inputs)
    cells = [Cells.of(term, odds) for term in terms if term.active] if strength else []
    curvature, toward = second_derivative(slopes, inputs, odds, cells, strength)
    damping = DAMPING * np.trace(curvature) / len(curvature)
    try:
        factor = np.linalg.cholesky(curvature + damping * np.eye(len(curvature)))
    except np.linalg.LinAlgError:
        return None
    own, along = np.empty(n), np.empty((n, toward.shape[1]))
    inverse, shifts = dtrtri(factor, lower=1)[0].T, cho_solve((factor, True), toward)
    for part in _parts(n, slopes.parameters):
        jacobian = slopes.jacobian(inputs[part])
        half = jacobian @ inverse.astype(jacobian.dtype)
        own[part] = np.einsum("np,np->n", half, half)
        along[part] = jacobian @ shifts.astype(jacobian.dtype)
    p = sigmoid(odds)
    step, first = own * (p - labels) / n, 0
    for each in cells:
        last = first + len(each.sizes)
        step -= strength * each.leaving(along[:, first:last], own)
        first = last
    left = 1 - own * p * (1 - p) / n
    return None if (left <= 0).any() else odds + step / left


def second_derivative(
    slopes: AdapterSlopes,
    inputs: FloatArray,
    odds: Float64,
    cells: Sequence[Cells],
    strength: float,
) -> tuple[Float64, Float64]:
    """(p, p) H, the log-odds taken as linear in the parameters, and (p, C) the cells' slopes.

    Args:
        slopes: of a fitted network.
        inputs: (N, in) what its hidden layer reads.
        odds: (N,) its log-odds.
        cells: of the penalties, near the fit; C in all.
        strength: of these.
    """
    n, number = len(inputs), slopes.parameters
    p = sigmoid(odds)
    curved = p * (1 - p) / n
    for each in cells:
        curved += strength * each.bent_by_row
    members = np.hstack([np.zeros((n, 0)), *(each.steep_by_row for each in cells)])
    found, toward = np.zeros((number, number)), np.zeros((number, members.shape[1]))
    for part in _parts(n, number):
        jacobian = slopes.jacobian(inputs[part])
        found += (jacobian * curved[part, None].astype(jacobian.dtype)).T @ jacobian
        toward += jacobian.T @ members[part].astype(jacobian.dtype)
    found += slopes.ridge_curvature()
    if cells:
        bend = block_diag(*(each.curve for each in cells))
        found += strength * toward @ bend @ toward.T
    return found, toward


@dataclass(frozen=True, eq=False)
class Cells:
    """A gap penalty near a fit, a sum of squares in the C means of its cells.

    Attributes:
        cell: (N,) the cell of each row; C in none.
        sizes: (C,) their rows.
        soft, steep, bent: (N,) sigmoid(beta z) and its first two derivatives in z.
        means: (C,) of ``soft``.
        slope: (C,) the penalty's derivative in the means.
        curve: (C, C) its second one, which is the same everywhere.
    """

    cell: IntArray
    sizes: Float64
    soft: Float64
    steep: Float64
    bent: Float64
    means: Float64
    slope: Float64
    curve: Float64

    @classmethod
    def of(cls, term: GapTerm, odds: Float64) -> Cells:
        """Those of a penalty on rows of weight 1, at their (N,) log-odds."""
        number = len(term.sizes)
        soft = np.asarray(sigmoid(term.beta * odds), dtype=np.float64)
        steep = term.beta * soft * (1 - soft)
        sizes = np.asarray(term.sizes, dtype=np.float64)
        means = np.bincount(term.cell, soft, number + 1)[:-1] / sizes
        each = [penalty_of_means(term, one[:, None])[1] for one in np.eye(number)]
        curve = np.hstack([np.zeros((number, 0)), *each])
        bent = term.beta * steep * (1 - 2 * soft)
        return cls(term.cell, sizes, soft, steep, bent, means, curve @ means, curve)

    @property
    def steep_by_row(self) -> Float64:
        """(N, C) the derivative of the cells' means in each row's log-odds."""
        inside = self.cell[:, None] == np.arange(len(self.sizes))
        return inside * (self.steep[:, None] / self.sizes)

    @property
    def bent_by_row(self) -> Float64:
        """(N,) the penalty's second derivative in each row's log-odds, its means' slopes fixed."""
        return self.bent * np.append(self.slope / self.sizes, 0.0)[self.cell]

    def leaving(self, along: Float64, own: Float64) -> Float64:
        """(N,) J H⁻¹ times the change of the penalty's gradient when each row leaves its cell.

        How far a small cell is trusted is taken as it is.

        Args:
            along: (N, C) J H⁻¹ times the slopes of the cells' means in the parameters.
            own: (N,) J H⁻¹ Jᵀ of each row.
        """
        found = np.zeros(len(self.cell))
        rows = np.flatnonzero(self.cell < len(self.sizes))
        cell = self.cell[rows]
        others = self.sizes[cell] - 1
        shift = (self.means[cell] - self.soft[rows]) / others  # of the cell's mean
        slope = self.slope[cell] + shift * self.curve[cell, cell]
        found[rows] = shift * np.einsum("nc,nc->n", along[rows], self.curve[cell])
        found[rows] += slope * (along[rows, cell] - self.steep[rows] * own[rows]) / others
        return found


def _parts(rows: int, parameters: int) -> Iterator[slice]:
    step = max(1, HELD // parameters)
    return (slice(first, first + step) for first in range(0, rows, step))
