"""Compare: every method on the same features and splits, over seeds, in parallel, resumable."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from importlib.metadata import version
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from evenhand.artefacts import held, write_atomically
from evenhand.checks import COINCIDENCE, coincidence, row_warnings
from evenhand.claim import claim
from evenhand.compare.cells import FRONTIER, cell_path, is_kept, read_cell, run_seed
from evenhand.compare.statistics import ERROR_COLUMNS, frontier, hypervolume, paired
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.methods import resolve
from evenhand.metrics.rates import false_positive_rate
from evenhand.processes import run_all
from evenhand.recipe import Recipe
from evenhand.record import Record, Run, results_frame
from evenhand.report.text import plain_number
from evenhand.rows import Rows
from evenhand.select import Rule

REFERENCE = ("transfer", "dense")
FREE = ("seeds", "methods", "all_methods", "reference", "output")
"""What a second call in the same folder may ask otherwise: a cell does not depend on it."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A finished comparison.

    Attributes:
        records: one a method × setting × seed.
        skipped: method to why it was not run.
        paired: mean paired differences to the reference, with intervals and Holm's flags.
        frontier: mean error at levels of each gap.
        hypervolume: area dominated by each method's frontier.
        folder: where it is kept.
        config: what was asked.
    """

    records: tuple[Record, ...]
    skipped: dict[str, str]
    paired: pd.DataFrame
    frontier: pd.DataFrame
    hypervolume: pd.DataFrame
    folder: Path
    config: dict[str, Any]

    @property
    def shown(self) -> list[Record]:
        """The records for a table: levels of the frontier left out."""
        return [record for record in self.records if not record.setting.startswith("level:")]


def compare(
    recipe: Recipe,
    seeds: Sequence[int],
    folder: str | Path,
    *,
    methods: list[str] | None = None,
    rules: Sequence[Rule] = (),
    reference: tuple[str, str] = REFERENCE,
    jobs: int = 1,
    on_cells: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Run every method at every seed, keep each cell as it is done, and put them together.

    A second call with the same arguments computes only what is missing; another recipe in the same
    folder is refused.

    Args:
        recipe: the task, data and model.
        seeds: each with its own split and pre-training.
        folder: results.csv, paired.csv, frontier.csv, hypervolume.csv, report.html, cells/.
        methods: names, see :data:`evenhand.methods.METHODS`; by default all but those that take
            minutes on features this wide.
        rules: rules with bounds, each a further row of every method that has a knob.
        reference: (method, setting) of the paired differences.
        jobs: seeds to run at a time, each in a process of its own.
        on_cells: called with (cells done, cells in all) as they are kept.

    Raises:
        InputError: no seed, an unknown method, or a folder that holds another comparison.
    """
    if not seeds:
        raise InputError("a comparison needs at least one seed")
    names = [entry.name for entry in resolve(methods)]
    config = {
        "command": "compare",
        **recipe.resolved,
        "bounds": [" and ".join(map(str, rule.bounds)) for rule in rules],
        "confidence": [rule.confidence for rule in rules],
        "error": rules[0].error if rules else recipe.config.error,
        "seeds": list(seeds),
        "methods": names,
        "all_methods": methods is None,
        "reference": list(reference),
    }
    with held(folder):
        return _compare(
            Path(folder), config, recipe, seeds, names, rules, reference, jobs, on_cells
        )


def _compare(
    folder: Path,
    config: dict[str, Any],
    recipe: Recipe,
    seeds: Sequence[int],
    names: Sequence[str],
    rules: Sequence[Rule],
    reference: tuple[str, str],
    jobs: int,
    on_cells: Callable[[int, int], None] | None,
) -> Comparison:
    kept = {key: value for key, value in config.items() if key not in FREE}
    claim(folder / "cells", kept | recipe.inputs)
    _run(recipe, seeds, names, rules, folder, jobs, on_cells, named=not config["all_methods"])
    cells = {
        (seed, name): read_cell(cell_path(folder, seed, name)) for seed in seeds for name in names
    }
    records = tuple(
        record for name in names for seed in seeds for record in cells[seed, name].records
    )
    skipped = {name: cell.skipped for (_, name), cell in cells.items() if cell.skipped}
    frame = results_frame(records)
    result = Comparison(
        records,
        skipped,
        _paired(frame, reference),
        _frontiers(frame),
        _hypervolumes(frame),
        folder,
        config,
    )
    _write(result)
    return result


def _run(
    recipe: Recipe,
    seeds: Sequence[int],
    names: Sequence[str],
    rules: Sequence[Rule],
    folder: Path,
    jobs: int,
    on_cells: Callable[[int, int], None] | None,
    *,
    named: bool,
) -> None:
    every = [cell_path(folder, seed, name) for seed in seeds for name in names]

    def tell() -> None:
        if on_cells:
            on_cells(sum(path.is_file() for path in every), len(every))

    tell()
    missing = [
        seed
        for seed in seeds
        if not all(is_kept(folder, seed, name, named=named) for name in names)
    ]
    if missing:
        # Once and on every core, before the seeds, which have a thread each, wait for each other.
        recipe.extract(missing[0])
    if jobs <= 1 or len(missing) <= 1:
        for seed in missing:
            run_seed(recipe, seed, names, rules, folder, named=named)
            tell()
        return
    run = partial(run_seed, named=named)
    run_all(run, [(recipe, seed, names, rules, folder) for seed in missing], jobs, tell)


def _paired(frame: pd.DataFrame, reference: tuple[str, str]) -> pd.DataFrame:
    present = ((frame["method"] == reference[0]) & (frame["setting"] == reference[1])).any()
    return paired(frame, reference) if present else pd.DataFrame()


def _frontiers(frame: pd.DataFrame) -> pd.DataFrame:
    if not (frame["method"] == REFERENCE[0]).any():
        return pd.DataFrame()
    parts = [
        frontier(frame, criterion, error).assign(criterion=str(criterion), error_metric=error)
        for criterion in FRONTIER
        for error in ERROR_COLUMNS
    ]
    return pd.concat(parts, ignore_index=True)


def _hypervolumes(frame: pd.DataFrame) -> pd.DataFrame:
    if frame.empty:
        return pd.DataFrame()
    parts = [
        hypervolume(frame, criterion).assign(criterion=str(criterion)) for criterion in FRONTIER
    ]
    return pd.concat(parts, ignore_index=True)


def pooled(records: Sequence[Record]) -> Record:
    """The records of one method and setting as one: counts added over seeds."""
    counts = reduce(add, (record.counts for record in records))
    seconds = sum(record.seconds for record in records) / len(records)
    notes = tuple(dict.fromkeys(note for record in records for note in record.notes))
    return replace(records[0], counts=counts, seconds=seconds, scores=None, notes=notes)


def as_run(comparison: Comparison) -> Run:
    """The comparison as the report shows it."""
    by_key: dict[tuple[str, str], list[Record]] = {}
    for record in comparison.shown:
        by_key.setdefault((record.method, record.setting), []).append(record)
    before = by_key.get(REFERENCE) or next(iter(by_key.values()))
    after_key = next((key for key in by_key if key[0] == "evenhand"), None)
    after = pooled(by_key[after_key]) if after_key else None
    seeds = comparison.config["seeds"]
    first = comparison.records[0]
    notes = [f"{name} was not run: {why}" for name, why in comparison.skipped.items()]
    notes += sorted({f"{r.method}: {note}" for r in comparison.shown for note in r.notes})
    notes += _coinciding(pooled(before), after)
    criterion = Criterion.EQUALIZED_ODDS
    return Run(
        "compare",
        f"Compare {len(comparison.config['methods'])} methods on {first.task}, each on the same "
        f"features and splits, over {len(seeds)} seeds with a split of their own.",
        _decided(pooled(before), after, criterion),
        tuple(comparison.shown),
        pooled(before),
        after,
        criterion,
        warnings=tuple(notes),
        provenance={
            "seeds": seeds,
            "versions": {name: version(name) for name in ("evenhand", "torch", "scikit-learn")}
            | {"python": platform.python_version()},
            "machine": f"{platform.machine()} {platform.system()}",
        },
        config=comparison.config,
        tables=(
            (
                "Paired differences to transfer learning",
                "Means over seeds with 95 % t intervals; Holm-corrected over all rows.",
                _rounded(comparison.paired),
            ),
            (
                "Error at levels of the gap",
                "Interpolated along each method's frontier; intervals by bootstrapping the seeds.",
                _rounded(comparison.frontier),
            ),
        ),
    )


def _coinciding(before: Record, after: Record | None) -> list[str]:
    """A warning where label and group nearly coincide, and then the gaps that still say something.

    What the rows were is told by the counts: the labels of every group.
    """
    cells = before.counts.cells
    groups, classes = cells.shape
    each = cells.ravel().astype(int)
    known = Rows(
        np.zeros((int(each.sum()), 0)),
        np.repeat(np.tile(np.arange(classes), groups), each),
        Groups(
            np.repeat(np.repeat(np.arange(groups), classes), each),
            before.counts.group_names,
            before.counts.attribute,
        ),
        before.counts.class_names,
    )
    if coincidence(known) <= COINCIDENCE:
        return []
    told = [warning for warning in row_warnings(known, ()) if "coincide" in warning]
    if classes == 2:
        shown = [("transfer learning", before), *([("evenhand", after)] if after else [])]
        told += [
            f"the gap of the false-positive rates is {plain_number(_spread(record))} for {name}"
            for name, record in shown
        ]
    return told


def _spread(record: Record) -> float:
    """The largest difference of the groups' false-positive rates; NaN where none is defined."""
    rates = false_positive_rate(record.counts.table)[..., 1]
    defined = rates[~np.isnan(rates)]
    return float(np.ptp(defined)) if len(defined) > 1 else float("nan")


def _decided(before: Record, after: Record | None, criterion: Criterion) -> str:
    was = plain_number(before.gap(criterion))
    if after is None:
        return f"Transfer learning: {criterion.symbol} {was}."
    return (
        f"evenhand's choice has {criterion.symbol} {plain_number(after.gap(criterion))} over all "
        f"seeds together, against {was} for transfer learning, and the error "
        f"{after.error:.2f} against {before.error:.2f}."
    )


def _rounded(frame: pd.DataFrame) -> pd.DataFrame:
    if "setting" in frame:
        frame = frame[~frame["setting"].astype(str).str.startswith("level:")]
    return frame.round(4)


def _write(comparison: Comparison) -> None:
    from evenhand.report.files import write_run
    from evenhand.report.text import frame_to_csv
    from evenhand.sealing import write_sums

    folder = comparison.folder
    config = yaml.safe_dump(comparison.config, sort_keys=False, allow_unicode=True)
    write_atomically(folder / "config.yaml", config)
    write_run(as_run(comparison), folder)
    levels = results_frame(r for r in comparison.records if r.setting.startswith("level:"))
    tables = {
        "paired.csv": comparison.paired,
        "frontier.csv": comparison.frontier,
        "hypervolume.csv": comparison.hypervolume,
        "levels.csv": levels,
    }
    for name, frame in tables.items():
        write_atomically(folder / name, frame_to_csv(frame))
    write_sums(folder, ["config.yaml", "results.csv", "result.json", "report.html", *tables])
