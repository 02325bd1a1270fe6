"""Compare: every method on the same features and splits, over seeds, in parallel, resumable."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from evenhand._base.events import OnEvent, Telling
from evenhand._base.files import write_atomically
from evenhand._base.made_from import claim
from evenhand._base.processes import spread
from evenhand._base.run_folder import run_folder
from evenhand.errors import InputError
from evenhand.experiments.compare.as_run import as_run
from evenhand.experiments.compare.comparison import REFERENCE, Comparison
from evenhand.experiments.compare.frontier import ERROR_COLUMNS, frontier, hypervolume
from evenhand.experiments.compare.request import FREE, CompareRequest
from evenhand.experiments.compare.results import FRONTIER, cell_path, is_kept, read_cell, run_seed
from evenhand.experiments.compare.statistics import paired
from evenhand.finetuning.recipe import Recipe
from evenhand.finetuning.recipe import recipe as recipe_of
from evenhand.heads.selection.rule import Rule
from evenhand.report.record import results_frame
from evenhand.tasks.split import seed_of


def compare(
    task: Recipe | str | Path,
    seeds: Sequence[int],
    folder: str | Path,
    *,
    methods: list[str] | None = None,
    rules: Sequence[Rule] = (),
    reference: tuple[str, str] = REFERENCE,
    jobs: int = 1,
    on_event: OnEvent | None = None,
) -> Comparison:
    """Run every method at every seed, keep each cell as it is done, and put them together.

    A second call with the same arguments computes only what is missing; another recipe in the same
    folder is refused.

    Args:
        task: a built-in task's name, the path of a task file, or a recipe made of either.
        seeds: each with its own split and pre-training.
        folder: results.csv, paired.csv, frontier.csv, hypervolume.csv, report.html, cells/.
        methods: names, see :data:`evenhand.experiments.methods.registry.METHODS`; by default
            all but those that take minutes on features this wide.
        rules: rules with bounds, each a further row of every method that has a knob.
        reference: (method, setting) of the paired differences.
        jobs: seeds to run at a time, each in a process of its own; within
            ``joblib.parallel_config`` they go where that says, such as to a cluster.
        on_event: told what is asked, how many cells are kept (``"progress"``: ``done``, ``of``) and
            what was measured; see :mod:`evenhand.integrations.trackers`.

    Raises:
        InputError: no seed, an unknown method, or a folder that holds another comparison.

    Example:
        >>> found = eh.compare("people.yaml", [0], "runs/compare", methods=["transfer", "gap-eo"])
        >>> found.folder.joinpath("results.csv").is_file()
        True
    """  # noqa: DOC502
    recipe = task if isinstance(task, Recipe) else recipe_of(str(task))
    asked = CompareRequest(
        recipe.config,
        _distinct(seeds),
        None if methods is None else tuple(methods),
        tuple(rules),
        reference,
        recipe.all_deep,
    )
    config = {"command": "compare", **asked.to_config()}
    with run_folder(folder, "compare") as target:
        return _compare(target, config, asked, recipe, jobs, Telling("compare", on_event))


def _distinct(seeds: Sequence[int]) -> tuple[int, ...]:
    """The seeds, each once.

    Raises:
        InputError: there is none, one comes twice, or something that is no seed.
    """
    if seeds is None or isinstance(seeds, str | bytes) or not len(seeds):
        raise InputError("a comparison needs at least one seed, such as [0]")
    found = tuple(seed_of(seed) for seed in seeds)
    twice = [seed for seed in found if found.count(seed) > 1]
    if twice:
        raise InputError(f"seed {twice[0]} comes twice among the seeds: its results would be one")
    return found


def _compare(
    folder: Path,
    config: dict[str, Any],
    asked: CompareRequest,
    recipe: Recipe,
    jobs: int,
    tell: Telling,
) -> Comparison:
    kept = {key: value for key, value in config.items() if key not in FREE}
    claim(folder / "cells", kept | recipe.inputs)
    names = asked.names
    tell("started", asked=config)
    _run(recipe, asked, folder, jobs, tell)
    cells = {
        (seed, name): read_cell(cell_path(folder, seed, name))
        for seed in asked.seeds
        for name in names
    }
    records = tuple(
        record for name in names for seed in asked.seeds for record in cells[seed, name].records
    )
    skipped = {name: cell.skipped for (_, name), cell in cells.items() if cell.skipped}
    frame = results_frame(records)
    result = Comparison(
        records,
        skipped,
        _paired(frame, asked.reference),
        _frontiers(frame),
        _hypervolumes(frame),
        folder,
        config,
    )
    _write(result)
    for record in records:
        tell("measured", **record.row())
    tell("finished", cells=len(cells))
    return result


def _run(
    recipe: Recipe,
    asked: CompareRequest,
    folder: Path,
    jobs: int,
    told: Telling,
) -> None:
    seeds, names, rules = asked.seeds, asked.names, asked.rules
    named = asked.methods is not None
    every = [cell_path(folder, seed, name) for seed in seeds for name in names]

    def tell() -> None:
        told("progress", done=sum(path.is_file() for path in every), of=len(every))

    tell()
    missing = [
        seed
        for seed in seeds
        if not all(is_kept(folder, seed, name, named=named) for name in names)
    ]
    if missing:
        # Once and on every core, before the seeds, which have a thread each, wait for each other.
        recipe.extract(missing[0])
    run = partial(run_seed, named=named)
    units = [(recipe, seed, names, rules, folder) for seed in missing]
    spread(run, units, jobs=jobs, while_running=tell)


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


def _write(comparison: Comparison) -> None:
    from evenhand._base.asked import write_config
    from evenhand._base.seals import write_sums
    from evenhand._base.text import frame_to_csv
    from evenhand.report.files import write_run

    folder = comparison.folder
    write_config(folder, comparison.config)
    write_run(as_run(comparison), folder)
    levels = results_frame(r for r in comparison.records if r.setting.kind == "level")
    tables = {
        "paired.csv": comparison.paired,
        "frontier.csv": comparison.frontier,
        "hypervolume.csv": comparison.hypervolume,
        "levels.csv": levels,
    }
    for name, frame in tables.items():
        write_atomically(folder / name, frame_to_csv(frame))
    write_sums(folder, ["config.yaml", "results.csv", "result.json", "report.html", *tables])
