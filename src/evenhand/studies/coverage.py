"""Does the bound hold? Samples of populations whose true gaps are known.

From each population n rows are drawn with replacement, the default algorithm chooses a head on
them, and the gap of its decisions on the whole population is the truth. A cell of the study is a
population × size × criterion × bound × confidence; its coverage is the share of promises kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from evenhand.bounds import Bound
from evenhand.criteria import Criterion
from evenhand.crossfit import Candidates, choose_ridge, crossfit
from evenhand.errors import InputError
from evenhand.groups import UNKNOWN, Groups
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import gap
from evenhand.rows import Rows
from evenhand.select import Rule, select
from evenhand.studies.pool import spread
from evenhand.threads import one_thread

SIZES = (3_000, 12_000)
CONFIDENCES = (0.90, 0.95)
SHARES = (0.4, 0.7)
"""Bounds asked for, as shares of transfer learning's true gap in the population."""
CRITERIA = (Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY)
BATCH = 5
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
    from evenhand.solver import fit_path

    head = fit_path(rows, ridge=ridge)[0].head
    counts = Counts.of(rows.labels, head.predict(rows.features), rows.groups, rows.classes)
    limits = {
        criterion: tuple(round(share * float(gap(counts.table, criterion)), 3) for share in SHARES)
        for criterion in CRITERIA
    }
    return Population(rows, ridge, limits)


def _income_by_sex() -> Rows:
    from evenhand.pipeline import adult_stage

    stage = adult_stage(seed=0)
    return stage.problem.development + stage.test


def _income_by_race() -> Rows:
    """Black and White; the three small groups are unknown."""
    from evenhand.pipeline import adult_stage

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
    from evenhand.tasks.adult import NUMBERS_END, adult

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


def coverage(
    *,
    replicates: int = 40,
    names: Sequence[str] | None = None,
    sizes: Sequence[int] = SIZES,
    confidences: Sequence[float] = CONFIDENCES,
    seed: int = 0,
    jobs: int = 1,
    on_done: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """One row a draw × bound × confidence: what was promised, and what was true.

    Args:
        replicates: draws a population × size × criterion.
        names: populations; all by default.
        sizes: rows to draw.
        confidences: to select at.
        seed: of the draws.
        jobs: processes.
        on_done: called after each batch of draws; :func:`batches` tells how many there are.
    """
    tasks = batches(replicates, names, sizes)
    results = spread(
        _batch, [(*task, tuple(confidences), seed) for task in tasks], jobs=jobs, on_done=on_done
    )
    return pd.DataFrame([row for rows in results for row in rows])


def batches(
    replicates: int, names: Sequence[str] | None = None, sizes: Sequence[int] = SIZES
) -> list[tuple[str, int, Criterion, tuple[int, ...]]]:
    """The pieces the study is computed in: population, size, criterion and draws."""
    return [
        (name, size, criterion, tuple(range(start, min(start + BATCH, replicates))))
        for name in names or populations()
        for size in sizes
        for criterion in CRITERIA
        for start in range(0, replicates, BATCH)
    ]


def _batch(
    name: str,
    size: int,
    criterion: Criterion,
    draws: tuple[int, ...],
    confidences: tuple[float, ...],
    seed: int,
) -> list[dict[str, Any]]:
    with one_thread():
        whole = population(name)
        return [
            row
            for draw in draws
            for row in _draw(name, whole, size, criterion, draw, confidences, seed)
        ]


def _draw(
    name: str,
    whole: Population,
    size: int,
    criterion: Criterion,
    draw: int,
    confidences: tuple[float, ...],
    seed: int,
) -> list[dict[str, Any]]:
    generator = np.random.default_rng([seed, draw, size])
    sample = whole.rows[generator.integers(len(whole.rows), size=size)]
    candidates = crossfit(sample, criterion, ridge=whole.ridge, seed=draw)
    rows = []
    for limit in whole.limits[criterion]:
        for confidence in confidences:
            rule = Rule((Bound(criterion, limit),), criterion, confidence, guard=False)
            choice = select([candidates], rule, features=sample.features.shape[1])
            truth = float("nan")
            if choice.index is not None:
                truth = _true_gap(whole, candidates, choice.index, criterion)
            rows.append(
                {
                    "population": name,
                    "rows": size,
                    "criterion": str(criterion),
                    "bound": limit,
                    "confidence": confidence,
                    "draw": draw,
                    "promised": bool(choice.promised),
                    "true_gap": truth,
                    "kept": bool(truth <= limit),
                    "floor": choice.floors[criterion],
                }
            )
    return rows


def _true_gap(
    whole: Population, candidates: Candidates, index: tuple[int, int], criterion: Criterion
) -> float:
    rows = whole.rows
    decisions = candidates.fit(index).head.predict(rows.features)
    counts = Counts.of(rows.labels, decisions, rows.groups, rows.classes)
    return float(gap(counts.table, criterion))


def summary(draws: pd.DataFrame) -> pd.DataFrame:
    """One row a cell: coverage of the promises made, refusals, and whether the floor allowed it.

    ``coverage`` is the share of promised draws whose true gap is within the bound; ``refused`` the
    share that was not promised; ``above_floor`` whether the bound is above the mean noise floor.
    """
    rows = []
    keys = ["population", "rows", "criterion", "bound", "confidence"]
    for key, part in draws.groupby(keys, sort=False):
        promised = part[part["promised"]]
        rows.append(
            {
                **dict(zip(keys, key, strict=True)),
                "draws": len(part),
                "refused": 1 - len(promised) / len(part),
                "coverage": promised["kept"].mean() if len(promised) else np.nan,
                "mean_true_gap": promised["true_gap"].mean() if len(promised) else np.nan,
                "floor": part["floor"].mean(),
                "above_floor": bool(part["bound"].iloc[0] > part["floor"].mean()),
            }
        )
    return pd.DataFrame(rows)


def page(cells: pd.DataFrame, command: str, machine: str) -> str:
    """The study as a Markdown page."""
    lines = [
        "# Does the bound hold?",
        "",
        "Drawn with replacement from populations whose truth is known: the share of promises kept",
        f"(*coverage*), and how often no promise was made (*refused*). Made by `{command}` on "
        f"{machine}.",
        "",
    ]
    for confidence, part in cells.groupby("confidence"):
        told = part[part["coverage"].notna()]
        able = part[part["above_floor"]]
        lines += [
            f"At confidence {confidence:g}: coverage {told['coverage'].mean():.3f} on average over "
            f"{len(told)} cells, {told['coverage'].min():.3f} at worst; where the bound is above "
            f"the noise floor, {able['refused'].mean():.1%} refused.",
            "",
        ]
    shown = cells.assign(
        **{name: cells[name].map(_shown) for name in ("coverage", "refused", "floor")}
    )
    columns = [
        "population",
        "rows",
        "criterion",
        "bound",
        "confidence",
        "coverage",
        "refused",
        "floor",
    ]
    lines.append("| " + " | ".join(columns) + " |")
    lines.append("|" + "---|" * len(columns))
    lines += [
        "| " + " | ".join(str(row[name]) for name in columns) + " |"
        for row in shown.to_dict(orient="records")
    ]
    lines += [
        "",
        "No promise holds under drift: the rows the model will meet must be drawn as these were.",
        "",
    ]
    return "\n".join(lines)


def _shown(share: float) -> str:
    return "n/a" if np.isnan(share) else f"{share:.3f}"
