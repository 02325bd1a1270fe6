"""Atomic cells: what a pass sums by, so that the penalties of any rows can be put together.

A term of the penalty has cells (group × label, or group); several terms have several sets of them.
The coarsest cells that all those are unions of are summed once, and every term's means, its
gradient and its curvature are combinations of the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64, IntArray
from evenhand._base.distributed import ALONE, World
from evenhand.heads.gaps import GapTerm, penalty_of_means
from evenhand.heads.streaming.sums import Sums


@dataclass(frozen=True, eq=False)
class Part:
    """The rows some of the heads are fitted on, as sums need them.

    Attributes:
        fold: the rows' ``folds`` number that is left out; -1: all rows count.
        rows: how many rows count, or the sum of their weights, over all processes.
        terms: the penalties on these rows, and for each the cell in it of every atomic cell.
    """

    fold: int
    rows: float
    terms: tuple[tuple[GapTerm, IntArray], ...]

    def betas(self) -> set[float]:
        """The steepnesses the terms need."""
        return {term.beta for term, _ in self.terms}


@dataclass(frozen=True, eq=False)
class Parts:
    """Several parts of the same rows, over cells that all of them are counted by.

    Attributes:
        parts: which rows count, and their penalties; the first leaves none out.
        atoms: (N,) the atomic cell of each row.
        number: of atomic cells.
        folds: (N,) the fold that holds each row, where parts leave one out.
    """

    parts: tuple[Part, ...]
    atoms: npt.NDArray[Any]
    number: int
    folds: npt.NDArray[Any] | None = None


def atomic_cells(terms: Sequence[GapTerm], rows: int, world: World = ALONE) -> tuple[IntArray, int]:
    """(N,) the coarsest cells that every term's cells are unions of, and how many there are.

    Rows in no term's cell have the number itself.
    """
    mixed, size = np.zeros(rows, dtype=np.int64), 1
    for term in terms:
        mixed = mixed * (len(term.sizes) + 1) + term.cell
        size *= len(term.sizes) + 1
    used = world.sum(np.bincount(mixed, minlength=size)) > 0
    used[size - 1] = False  # in no cell of any
    rank = np.full(size, int(used.sum()))
    rank[used] = np.arange(int(used.sum()))
    return rank[mixed], int(used.sum())


def cells_of_atoms(term: GapTerm, atoms: IntArray, number: int, world: World = ALONE) -> IntArray:
    """(A,) the cell in ``term`` of every atomic cell; C for those in none."""
    found = np.zeros(number + 1, dtype=np.int64)
    found[atoms] = term.cell + 1
    if world.size > 1:
        found = np.max(world.gather(found), axis=0)
    return found[:number] - 1


def penalties(
    part: Part, sums: Sums, head: int, strength: float
) -> tuple[float, dict[float, Float64]]:
    """strength × the penalty of one head, and its gradient (A, m) at each beta's soft sums."""
    value = 0.0
    slopes: dict[float, Float64] = {}
    for term, cells in part.terms:
        soft = sums.soft[term.beta][:, head]
        members = _members(term, cells)
        means = (members @ soft) / term.sizes[:, None]
        penalty, slope = penalty_of_means(term, means)
        value += strength * penalty
        by_atom = strength * members.T @ (slope / term.sizes[:, None])
        slopes[term.beta] = slopes[term.beta] + by_atom if term.beta in slopes else by_atom
    return value, slopes


def stiffness(part: Part, sums: Sums, head: int, strength: float) -> Float64:
    """(c, d + 1) rows R such that Rᵀ R is the penalty's Gauss-Newton Hessian; two classes only."""
    rows = []
    for term, cells in part.terms:
        members = _members(term, cells) / term.sizes[:, None]
        lean = members @ sums.lean[term.beta][:, head]
        rows.append(np.sqrt(2 * strength * term.weight) * (term.contrast @ lean))
    return np.vstack(rows) if rows else np.zeros((0, sums.slope.shape[2]))


def _members(term: GapTerm, cells: IntArray) -> Float64:
    """(C, A) 1 where an atomic cell is part of the term's cell."""
    return (cells[None, :] == np.arange(len(term.sizes))[:, None]).astype(np.float64)
