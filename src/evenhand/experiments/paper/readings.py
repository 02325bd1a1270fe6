"""Every reading of the paper that its text leaves open, and what each does to the figures.

Open are the importance's Fisher, how it is reduced over a group, where the root is taken, the
floor of dead units, the bias, centring, and which head is factorised; each is run at every rank,
converged and stopped early.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from evenhand._base.arrays import Float64
from evenhand.finetuning.baselines import as_fitted
from evenhand.finetuning.problem import Fitted, Problem
from evenhand.fisher.factorize import NoSavingWarning, factorize
from evenhand.fisher.head_fisher import head_fisher
from evenhand.fisher.sums import GroupFisher
from evenhand.head import Head
from evenhand.heads.fit import fit_path
from evenhand.heads.head_fit import MAX_EVALUATIONS
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.report.setting import Setting

if TYPE_CHECKING:
    from evenhand.finetuning.stage import Stage


BUDGETS = {"stopped at 3": 3, "stopped at 10": 10, "converged": MAX_EVALUATIONS}
"""Passes over the features a fit may take."""


@dataclass(frozen=True)
class Reading:
    """One way to read what the paper leaves open; the defaults are evenhand's.

    Attributes:
        fisher: ``empirical`` (labels given) or ``true`` (expected under the model).
        over: a group's importance is the ``mean`` or the ``sum`` over its rows.
        root: taken ``before`` the groups are averaged (Eq. 2 literally) or ``after``.
        floor: least importance, as a share of the largest.
        bias: ``refitted`` or ``kept``.
        centred: subtract W's mean column first.
        head: factorise the ``pre-trained`` head, one ``fitted`` on the new rows, or a ``fresh``,
            random one.
    """

    fisher: str = "empirical"
    over: str = "mean"
    root: str = "before"
    floor: float = 1e-3
    bias: str = "refitted"
    centred: bool = False
    head: str = "pre-trained"

    @property
    def control(self) -> str:
        """What the plain SVD shares with this reading: it knows no importance."""
        centred = "centred" if self.centred else "as it is"
        return f"head {self.head}, {centred}, bias {self.bias}"

    def __str__(self) -> str:
        return (
            f"{self.fisher} Fisher, {self.over}, root {self.root}, floor {self.floor:g}, "
            f"{self.control}"
        )


CHOICES: dict[str, tuple[object, ...]] = {
    "fisher": ("empirical", "true"),
    "over": ("mean", "sum"),
    "root": ("before", "after"),
    "floor": (1e-3, 1e-1),
    "bias": ("refitted", "kept"),
    "centred": (False, True),
    "head": ("pre-trained", "fitted", "fresh"),
}


DEFAULT = Reading()


def readings() -> Iterator[Reading]:
    """All combinations."""
    for values in itertools.product(*CHOICES.values()):
        yield Reading(**dict(zip(CHOICES, values, strict=True)))  # type: ignore[arg-type]


def importance(fisher: GroupFisher, reading: Reading) -> Float64:
    """(d,) row weights as the reading has them."""
    scores = fisher.row_sums if reading.over == "sum" else fisher.importance
    if reading.root == "before":
        weights = np.sqrt(scores).mean(axis=0)
    else:
        weights = np.sqrt(scores.mean(axis=0))
    highest = float(weights.max(initial=0))
    if not highest > 0:
        return np.ones_like(weights)
    floored: Float64 = np.maximum(weights, reading.floor * highest)
    return floored


def sensitivity(stage: Stage) -> Sequence[tuple[Setting, Fitted]]:
    """The method under every reading × rank × budget, with f+SVD and transfer learning beside it.

    The parts of a setting are who, rank and budget; who is a reading, ``f+SVD: …`` or
    ``TL: head``. Factors that do not differ are fitted once.
    """
    problem = stage.problem
    heads = {
        "pre-trained": problem.head,
        "fitted": fit_path(
            problem.train, HeadSpec(ridge=problem.ridge), control=FitControl(start=problem.head)
        )[0].head,
        "fresh": fresh(problem),
    }
    ranks = range(1, problem.head.out_features + 1)
    fishers = {
        (name, kind): head_fisher(problem.train, head, kind=kind, kronecker=True)  # type: ignore[arg-type]
        for name, head in heads.items()
        for kind in CHOICES["fisher"]
    }
    rows = []
    for (name, head), (budget, most) in itertools.product(heads.items(), BUDGETS.items()):
        fit = fit_path(
            problem.train,
            HeadSpec(ridge=problem.ridge),
            control=FitControl(start=head, max_evaluations=most),
        )[0]
        rows.append((Setting.of_parts(f"TL: {name}", "dense", budget), as_fitted(fit)))
    done: dict[bytes, Fitted] = {}
    for reading, rank in itertools.product([*_controls(), *readings()], ranks):
        plain = reading.fisher == "none"
        fisher = fishers[reading.head, "empirical" if plain else reading.fisher]
        weights = None if plain else importance(fisher, reading)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoSavingWarning)
            start = factorize(
                heads[reading.head],
                weights,
                rank=rank,
                centre=reading.centred,
                mean=fisher.kronecker.mean  # type: ignore[union-attr]
                if reading.bias == "refitted"
                else None,
            ).head
        who = f"f+SVD: {reading.control}" if plain else str(reading)
        for budget, most in BUDGETS.items():
            mark = _mark(start, rank, most)
            if mark not in done:
                fit = fit_path(
                    problem.train,
                    HeadSpec(ridge=problem.ridge, rank=rank),
                    control=FitControl(start=start, max_evaluations=most),
                )[0]
                done[mark] = as_fitted(fit)
            rows.append((Setting.of_parts(who, str(rank), budget), done[mark]))
    return rows


def _controls() -> Iterator[Reading]:
    kept = [name for name in CHOICES if name in ("bias", "centred", "head")]
    for values in itertools.product(*(CHOICES[name] for name in kept)):
        yield replace(DEFAULT, fisher="none", **dict(zip(kept, values, strict=True)))  # type: ignore[arg-type]


def fresh(problem: Problem) -> Head:
    """A random head as a new linear layer has it, drawn from the problem's seed."""
    d, k = problem.head.weight.shape
    draw, reach = np.random.default_rng(problem.seed), 1 / np.sqrt(d)
    return Head(draw.uniform(-reach, reach, (d, k)), draw.uniform(-reach, reach, k))


def _mark(start: Head, rank: int, most: int) -> bytes:
    """The same for starts that are the same to rounding."""
    down, up = start.factors or (start.weight, start.weight)
    parts = [np.round(part, 10).tobytes() for part in (down, up, start.bias)]
    return b"|".join([*parts, bytes([rank]), str(most).encode()])
