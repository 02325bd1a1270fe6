"""Peers for the worst group and label: deep feature reweighting and group DRO, on one head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand.experiments.methods.logistic import fit_head, known_rows
from evenhand.experiments.methods.method import Method
from evenhand.finetuning.problem import Fitted, Problem, fitted_head
from evenhand.head import Head
from evenhand.heads.tilted import cells_of, fit_tilted

DRAWS = 10
"""Balanced subsets whose heads are averaged, as published."""


def dfr(shares: Sequence[float] = (0.5, 1.0), draws: int = DRAWS) -> Method:
    """Deep feature reweighting (Kirichenko et al. 2023): the head refitted on balanced cells.

    Each draw keeps as many rows of every group and label as the smallest has; the heads of all
    draws are averaged.

    Args:
        shares: of that head, the rest transfer learning's: 1 is the method as published, between
            0 and 1 its frontier.
        draws: how many.
    """

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        rows = known_rows(problem.train, "dfr")
        cell, rng = cells_of(rows), np.random.default_rng(problem.seed)
        places = [np.flatnonzero(cell == one) for one in np.unique(cell)]
        least = min(map(len, places))
        heads = []
        for _ in range(draws):
            drawn = [rng.choice(one, least, replace=False) for one in places]
            heads.append(fit_head(rows[np.sort(np.concatenate(drawn))], problem.ridge))
        plain = fit_head(problem.train, problem.ridge)
        weight = np.mean([head.weight for head in heads], axis=0)
        bias = np.mean([head.bias for head in heads], axis=0)
        return [
            (
                f"share={share:g}",
                fitted_head(
                    Head(
                        share * weight + (1 - share) * plain.weight,
                        share * bias + (1 - share) * plain.bias,
                    )
                ),
            )
            for share in shares
        ]

    return run


def group_dro(tilts: Sequence[float] = (3.0, 30.0, 100.0)) -> Method:
    """Group DRO (Sagawa et al. 2020) on the head, to convergence: the worst cell's loss, least.

    The published descent visits groups at random and is stopped early; for one head the problem is
    convex, and solved.

    Args:
        tilts: how far from the mean of the cells to the worst; 100 is the method as published.
    """

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        rows = known_rows(problem.train, "group-dro", weighted=True)
        fits = fit_tilted(rows, cells_of(rows), ridge=problem.ridge, tilts=(0.0, *tilts))
        return [(f"tilt={fit.strength:g}", fitted_head(fit.head)) for fit in fits[1:]]

    return run
