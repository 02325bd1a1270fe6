"""Every built-in criterion: do intervals hold the truth, and are promises kept?

Intervals are of tables drawn from known shares of decisions, with about 100 rows of each group and
label. Promises are made as in :mod:`evenhand.experiments.studies.coverage`, on samples of
populations whose truth is known, by the default menu and rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.arrays import Float64, IntArray
from evenhand._base.files import write_atomically
from evenhand._base.made_from import claim
from evenhand._base.processes import spread
from evenhand._base.threads import one_thread
from evenhand.criteria import BUILT_IN, STANDARD, Criterion
from evenhand.experiments.studies.populations import population
from evenhand.heads.fit import fit_path
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.menu import head_families
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.select import select
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.metrics.bounds import noise_floor, shortfall, upper_bound
from evenhand.metrics.counts import Counts
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.rates import gap

ROWS_PER_CELL = 100

LEVEL, CONFIDENCE, ONE_SIDED = 0.95, 0.9, 1.2815515655446004
"""Of intervals; of promises, and its normal quantile."""

DECIDED = {
    "two groups, far apart": ((0.15, 0.85), (0.40, 0.65)),
    "two groups, near": ((0.20, 0.70), (0.26, 0.78)),
    "three groups": ((0.15, 0.80), (0.30, 0.70), (0.22, 0.62)),
}
"""The shares of each group's negatives and positives that are decided positive."""

POPULATIONS = ("income by sex", "simulated, three groups")
SIZES = (3_000,)
EVEN_SHARES, WORST_SHARES = (0.4, 0.7), (0.8, 1.0)
"""Bounds as shares of what transfer learning lacks: where decisions are to be even, and where the
worst group or cell counts, which hardly any head makes much better."""

FLOORS = 1.5
"""A bound is no less than so many noise floors: below, a promise hangs on luck."""


def interval_coverage(
    draws: int = 1000, *, seed: int = 0, jobs: int = 1, on_done: Callable[[], None] | None = None
) -> pd.DataFrame:
    """One row a criterion × setting: how often the interval and the bound hold the truth.

    Args:
        draws: of tables, for each.
        seed: of the draws.
        jobs: processes.
        on_done: called after each criterion and setting.

    Returns:
        Columns ``criterion``, ``decisions``, ``truth``, ``draws``, ``held`` (the share of the 95 %
        intervals that hold the truth) and ``bound_held`` (of the one-sided bounds at .9).
    """
    tasks = [(str(c), name, draws, seed) for c in BUILT_IN for name in DECIDED]
    return pd.DataFrame(spread(_held, tasks, jobs=jobs, on_done=on_done))


def _held(criterion: str, decisions: str, draws: int, seed: int) -> dict[str, Any]:
    known = Criterion.parse(criterion)
    shares = cell_shares(DECIDED[decisions])
    truth = float(gap(shares, known))
    generator = np.random.default_rng(seed)
    held = bounded = 0
    for _ in range(draws):
        table = drawn_table(shares, generator)
        interval = gap_interval(table, known, level=LEVEL)
        held += interval.low <= truth <= interval.high
        bound = upper_bound(table, known, ONE_SIDED)
        bounded += bool(shortfall(bound, known) >= shortfall(truth, known))
    return {
        "criterion": criterion,
        "decisions": decisions,
        "truth": truth,
        "draws": draws,
        "held": held / draws,
        "bound_held": bounded / draws,
    }


def cell_shares(decided: Sequence[Sequence[float]]) -> Float64:
    """(G, 2, 2) the share of each label and decision in each group, labels being as many."""
    positive = np.asarray(decided, dtype=np.float64)
    return np.stack([1 - positive, positive], axis=-1) / 2


def drawn_table(shares: Float64, generator: np.random.Generator) -> IntArray:
    """A table of rows drawn group by group, about :data:`ROWS_PER_CELL` of each label."""
    each = [generator.multinomial(2 * ROWS_PER_CELL, one.ravel()) for one in shares]
    return np.asarray(each, dtype=np.int64).reshape(shares.shape)


def promise_coverage(
    draws: int = 20,
    folder: Path | None = None,
    *,
    names: Sequence[str] = POPULATIONS,
    sizes: Sequence[int] = SIZES,
    seed: int = 0,
    jobs: int = 1,
    on_done: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """One row a criterion × bound × draw: whether it was promised, and whether it was kept.

    Args:
        draws: samples of each population and size.
        folder: where finished draws are kept and read again; None keeps none.
        names: of the populations.
        sizes: rows to draw.
        seed: of the draws.
        jobs: processes.
        on_done: called after each draw.

    Raises:
        InputError: the folder holds results of something else.
    """  # noqa: DOC502
    if folder is not None:
        claim(folder, {"study": "criteria", "seed": seed, "at": CONFIDENCE})
    tasks = [(n, size, at, seed, folder) for at in range(draws) for n in names for size in sizes]
    found = spread(_kept, tasks, jobs=jobs, on_done=on_done)
    return pd.DataFrame([row for rows in found for row in rows])


def _kept(name: str, size: int, draw: int, seed: int, folder: Path | None) -> list[dict[str, Any]]:
    called = "".join(c if c.isalnum() else "-" for c in name)
    path = None if folder is None else folder / "draws" / f"{called}-{size}-{draw}.json"
    if path is not None and path.is_file():
        kept: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    with one_thread():
        rows = [
            {"population": name, "rows": size, "draw": draw, **row}
            for row in _decided(name, size, draw, seed)
        ]
    if path is not None:
        write_atomically(path, json.dumps(rows))
    return rows


def _decided(name: str, size: int, draw: int, seed: int) -> Iterator[dict[str, Any]]:
    whole = population(name)
    generator = np.random.default_rng([seed, draw, size])
    sample = whole.rows[generator.integers(len(whole.rows), size=size)]
    spec, control = HeadSpec(ridge=whole.ridge), FitControl(seed=draw)
    penalties = dict.fromkeys(
        (*STANDARD, *(Criterion.parse(c.penalty) for c in BUILT_IN if c.penalty))
    )
    known = {one: crossfit(sample, spec, one, control=control) for one in penalties}
    for criterion in BUILT_IN:
        for limit in limits(name, size)[criterion]:
            rule = Rule((Bound(criterion, limit),), confidence=CONFIDENCE, guard=False)
            families = head_families(sample, rule, spec, control=control, known=known)
            choice = select(families, rule, features=sample.features.shape[1])
            told = {"criterion": str(criterion), "bound": limit, "promised": bool(choice.promised)}
            figure = float("nan")
            if choice.family is not None and choice.index is not None:
                head = families[choice.family].fit(choice.index).head
                figure = _truth(name, head.predict(whole.rows.features), criterion)
            lacking = float(shortfall(figure, criterion))
            yield told | {"true": figure, "kept": bool(lacking <= rule.bounds[0].most)}


def _truth(name: str, decisions: IntArray, criterion: Criterion) -> float:
    rows = population(name).rows
    counts = Counts.of(rows.labels, decisions, rows.groups, rows.classes)
    return float(gap(counts.table, criterion))


@cache
def limits(name: str, size: int) -> Mapping[Criterion, tuple[float, ...]]:
    """The bounds asked for in a population, by criterion, from transfer learning's own figures."""
    whole = population(name)
    rows = whole.rows
    head = fit_path(rows, HeadSpec(ridge=whole.ridge))[0].head
    table = Counts.of(rows.labels, head.predict(rows.features), rows.groups, rows.classes).table
    found = {}
    for criterion in BUILT_IN:
        lacking = float(shortfall(gap(table, criterion), criterion))
        least = 0.0
        if criterion.evens:
            floor = noise_floor(table * (size / len(rows)), criterion, ONE_SIDED)
            least = FLOORS * float(shortfall(floor, criterion))
        shares = EVEN_SHARES if criterion.evens else WORST_SHARES
        figures = (shortfall(max(share * lacking, least), criterion) for share in shares)
        found[criterion] = tuple(dict.fromkeys(round(float(figure), 4) for figure in figures))
    return found
