"""Does the bound hold? Samples of populations whose true gaps are known.

From each population n rows are drawn with replacement, the default algorithm chooses a head on
them, and the gap of its decisions on the whole population is the truth. A cell of the study is a
population × size × criterion × bound × confidence; its coverage is the share of promises kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.processes import spread
from evenhand._base.threads import one_thread
from evenhand.criteria import Criterion
from evenhand.experiments.studies.populations import CRITERIA, Population, population, populations
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.select import select
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import gap

SIZES = (3_000, 12_000)


CONFIDENCES = (0.90, 0.95)


BATCH = 5


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
    candidates = crossfit(
        sample, HeadSpec(ridge=whole.ridge), criterion, control=FitControl(seed=draw)
    )
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
