"""Populations whose truth is known, to draw samples from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.groups import UNKNOWN, Groups
from evenhand.heads.selection.ridge import choose_ridge
from evenhand.heads.spec import HeadSpec
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import gap
from evenhand.rows import Rows

SHARES = (0.4, 0.7)
"""Bounds asked for, as shares of transfer learning's true gap in the population."""


CRITERIA = (Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY)


SIMULATED_ROWS = 200_000


@dataclass(frozen=True, eq=False)
class Population:
    """Rows that are the whole truth, and how their head is fitted.

    Attributes:
        rows: all of them.
        ridge: of the head, chosen once.
        limits: the bounds asked for, by criterion.
    """

    rows: Rows
    ridge: float
    limits: dict[Criterion, tuple[float, ...]]


def populations() -> tuple[str, ...]:
    """The names of the study's populations."""
    return tuple(_MAKERS)


@cache
def population(name: str) -> Population:
    """The population called ``name``.

    Raises:
        InputError: no such population.
    """
    if name not in _MAKERS:
        raise InputError(f"no population {name!r}; there are {', '.join(_MAKERS)}")
    rows = _MAKERS[name]()
    ridge = choose_ridge(rows[: min(len(rows), 20_000)])
    from evenhand.heads.fit import fit_path

    head = fit_path(rows, HeadSpec(ridge=ridge))[0].head
    counts = Counts.of(rows.labels, head.predict(rows.features), rows.groups, rows.classes)
    limits = {
        criterion: tuple(round(share * float(gap(counts.table, criterion)), 3) for share in SHARES)
        for criterion in CRITERIA
    }
    return Population(rows, ridge, limits)


def _income_by_sex() -> Rows:
    from evenhand.finetuning.mlp_stage import adult_stage

    stage = adult_stage(seed=0)
    return stage.problem.development + stage.test


def _income_by_race() -> Rows:
    """Black and White; the three small groups are unknown."""
    from evenhand.finetuning.mlp_stage import adult_stage

    stage = adult_stage(seed=0, group="race")
    rows = stage.problem.development + stage.test
    kept = [rows.groups.names.index(name) for name in ("Black", "White")]
    codes = np.full(len(rows), UNKNOWN)
    for code, old in enumerate(kept):
        codes[rows.groups.codes == old] = code
    groups = Groups(codes, ("Black", "White"), "race")
    return Rows(rows.features, rows.labels, groups, rows.classes)


def _long_hours_by_sex() -> Rows:
    """More than 40 hours a week from Adult's other columns: 70 raw inputs, no network."""
    from evenhand.tasks.datasets.adult import NUMBERS_END, adult

    task = adult(seed=0)
    parts = list(task.splits.values())
    inputs = np.concatenate([part.inputs for part in parts]).astype(np.float64)
    hours = inputs[:, NUMBERS_END - 1]
    codes = np.concatenate([part.groups.codes for part in parts])
    groups = Groups(codes, task.train.groups.names, "sex")
    labels = (hours > np.median(hours) + 1e-6).astype(np.int64)
    return Rows(np.delete(inputs, NUMBERS_END - 1, axis=1), labels, groups, ("<=40", ">40"))


def _simulated() -> Rows:
    """Three groups, 8 Gaussian features shifted between them, logistic labels."""
    draw = np.random.default_rng(0)
    codes = draw.choice(3, size=SIMULATED_ROWS, p=(0.5, 0.3, 0.2))
    shift = draw.normal(scale=0.4, size=(3, 8))
    features = draw.normal(size=(SIMULATED_ROWS, 8)) + shift[codes]
    odds = features @ draw.normal(scale=0.6, size=8) - 0.5
    labels = (draw.random(SIMULATED_ROWS) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    return Rows(features, labels, Groups(codes, ("a", "b", "c")), ("no", "yes"))


_MAKERS: dict[str, Callable[[], Rows]] = {
    "income by sex": _income_by_sex,
    "income by race": _income_by_race,
    "long hours by sex": _long_hours_by_sex,
    "simulated, three groups": _simulated,
}
