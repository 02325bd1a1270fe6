"""Does the bound hold? Samples of populations whose true gaps are known.

From each population n rows are drawn with replacement, the default algorithm chooses a head on
them, and the gap of its decisions on the whole population is the truth. A cell of the study is a
population × size × criterion × bound × confidence; its coverage is the share of promises kept. The
same draws are decided by the first version's rule as well, so that errors can be told pairwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from evenhand._base.files import write_atomically
from evenhand._base.made_from import claim
from evenhand._base.processes import spread
from evenhand._base.threads import one_thread
from evenhand.criteria import STANDARD
from evenhand.experiments.studies.even_model import refused_share
from evenhand.experiments.studies.populations import CRITERIA, Population, population, populations
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.menu import far_below, head_families
from evenhand.heads.selection.pool import MIN_CELL
from evenhand.heads.selection.promising import CHOSEN, NEAR_NOISE
from evenhand.heads.selection.requirements import has_gap
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.select import select
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.metrics.bounds import compared_rows, critical_value, noise_floor
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import f1_error, gap
from evenhand.rows import Rows

SIZES = (3_000, 12_000)


CONFIDENCES = (0.90, 0.95)


BATCH = 5


@dataclass(frozen=True)
class Way:
    """A way of choosing that the study tries.

    Attributes:
        critical: of the rule.
        menu: all families, or the one path of the criterion asked for.
        assisted: of the rule.
    """

    critical: Literal["quantile", "small cells"]
    menu: bool = True
    assisted: bool = True

    def rule(self, bound: Bound, confidence: float) -> Rule:
        """The rule that asks for a bound in this way."""
        return Rule(
            (bound,),
            bound.criterion,
            confidence,
            guard=False,
            critical=self.critical,
            assisted=self.assisted,
        )


WAYS: Mapping[str, Way] = {
    "evenhand": Way("quantile"),
    "first version": Way("small cells", menu=False, assisted=False),
}
"""The default, and the rule of the first version: one path, and a wider bound where a rate has
fewer than 500 rows."""


DEFAULT_WAY, FIRST_WAY = "evenhand", "first version"


def coverage(
    *,
    replicates: int = 40,
    folder: Path | None = None,
    names: Sequence[str] | None = None,
    sizes: Sequence[int] = SIZES,
    confidences: Sequence[float] = CONFIDENCES,
    seed: int = 0,
    jobs: int = 1,
    on_done: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """One row a way × draw × bound × confidence: what was promised, and what was true.

    Args:
        replicates: draws a population × size.
        folder: where finished draws are kept, and read when the study is run again with more; none
            are kept without one.
        names: populations; all by default.
        sizes: rows to draw.
        confidences: to select at.
        seed: of the draws.
        jobs: processes.
        on_done: called after each batch of draws; :func:`batches` tells how many there are.

    Raises:
        InputError: the folder holds results of something else.
    """  # noqa: DOC502
    if folder is not None:
        ways = {name: vars(way) for name, way in WAYS.items()}
        rule = {"chosen": CHOSEN, "near noise": NEAR_NOISE, "told": "an even model's refusals"}
        asked = {"seed": seed, "at": list(confidences), "ways": ways, "rule": rule}
        claim(folder, {"study": "coverage", **asked})
    tasks = batches(replicates, names, sizes)
    results = spread(
        _batch,
        [(*task, tuple(confidences), seed, folder) for task in tasks],
        jobs=jobs,
        on_done=on_done,
    )
    return pd.DataFrame([row for rows in results for row in rows])


def batches(
    replicates: int, names: Sequence[str] | None = None, sizes: Sequence[int] = SIZES
) -> list[tuple[str, int, tuple[int, ...]]]:
    """The pieces the study is computed in: population, size and draws."""
    return [
        (name, size, tuple(range(start, min(start + BATCH, replicates))))
        for start in range(0, replicates, BATCH)
        for name in names or populations()
        for size in sizes
    ]


def _batch(
    name: str,
    size: int,
    draws: tuple[int, ...],
    confidences: tuple[float, ...],
    seed: int,
    folder: Path | None,
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for draw in draws:
        called = "".join(c if c.isalnum() else "-" for c in name)
        path = None if folder is None else folder / "draws" / f"{called}-{size}-{draw}.json"
        if path is not None and path.is_file():
            found += json.loads(path.read_text(encoding="utf-8"))
            continue
        with one_thread():
            rows = list(_draw(name, population(name), size, draw, confidences, seed))
        if path is not None:
            write_atomically(path, json.dumps(rows))
        found += rows
    return found


def _draw(
    name: str,
    whole: Population,
    size: int,
    draw: int,
    confidences: tuple[float, ...],
    seed: int,
) -> Iterator[dict[str, Any]]:
    generator = np.random.default_rng([seed, draw, size])
    sample = whole.rows[generator.integers(len(whole.rows), size=size)]
    spec, control = HeadSpec(ridge=whole.ridge), FitControl(seed=draw)
    known = {
        criterion: crossfit(sample, spec, criterion, control=control)
        for criterion in STANDARD
        if has_gap(sample, criterion)
    }
    for criterion in CRITERIA:
        smallest = Rule((Bound(criterion, min(whole.limits[criterion])),))
        families = head_families(sample, smallest, spec, control=control, known=known)
        for limit in whole.limits[criterion]:
            for confidence in confidences:
                told = {
                    "population": name,
                    "rows": size,
                    "criterion": str(criterion),
                    "bound": limit,
                    "confidence": confidence,
                    "draw": draw,
                    **_noise(sample, families[0], Bound(criterion, limit), confidence),
                }
                for name_of_way, way in WAYS.items():
                    rule = way.rule(Bound(criterion, limit), confidence)
                    found = _decided(whole, sample, families, rule, way)
                    yield told | {"way": name_of_way} | found


def _decided(
    whole: Population, sample: Rows, families: Sequence[Candidates], rule: Rule, way: Way
) -> dict[str, Any]:
    """What one way chooses, and what is true of it."""
    tried = list(families[: None if way.menu else 1])
    if not far_below(families[0], rule):  # a run would have fitted no heavier path
        tried = [one for one in tried if one.ridge == whole.ridge]
    (bound,) = rule.bounds
    choice = select(tried, rule, features=sample.features.shape[1])
    true_gap = true_error = float("nan")
    if choice.family is not None and choice.index is not None:
        head = tried[choice.family].fit(choice.index).head
        rows = whole.rows
        decisions = head.predict(rows.features)
        counts = Counts.of(rows.labels, decisions, rows.groups, rows.classes)
        true_gap = float(gap(counts.table, bound.criterion))
        true_error = float(f1_error(counts.total))
    return {
        "promised": bool(choice.promised),
        "true_gap": true_gap,
        "true_error": true_error,
        "kept": bool(true_gap <= bound.limit),
        "z": choice.z,
    }


def _noise(sample: Rows, path: Candidates, bound: Bound, confidence: float) -> dict[str, float]:
    """What noise alone does at the normal quantile, for a model that decides as transfer learning.

    Its noise floor, and how often it would be refused if it were even; infinite, and always, with
    too few rows.
    """
    table = path.tables[0, path.offsets.index(0.0)]
    if compared_rows(table.sum(axis=-1), bound.criterion, MIN_CELL) < MIN_CELL:
        return {"floor": float("inf"), "even_refused": 1.0}
    z = critical_value(confidence, len(sample), 0)
    return {
        "floor": noise_floor(table, bound.criterion, z, MIN_CELL),
        "even_refused": refused_share(table, bound, z, min_rows=MIN_CELL),
    }
