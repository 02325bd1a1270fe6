"""Running a plan: in parallel, every cell kept as it is done and never computed again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from evenhand._base.made_from import claim
from evenhand._base.processes import spread
from evenhand._base.threads import one_thread
from evenhand.experiments.compare.results import read_cell
from evenhand.experiments.paper.figure_arrays import ARRAYS
from evenhand.experiments.paper.plan import Plan
from evenhand.experiments.paper.sources import ImageSource, Source
from evenhand.experiments.paper.variants import cell_path, is_kept, run_one
from evenhand.report.record import RESULT_COLUMNS

COLUMNS = ("source", *(name for name in RESULT_COLUMNS if name != "seconds"))


Unit = tuple[Source, int, tuple[str, ...]]


def run_unit(unit: Unit, folder: Path, cache: Path | None) -> None:
    """Run and keep what is missing of one source at one seed."""
    source, seed, names = unit
    todo = [name for name in names if not is_kept(folder, source, seed, name)]
    if not todo:
        return
    with one_thread():
        stage = source.stage(seed, cache)
        for name in todo:
            run_one(stage, name, cell_path(folder, source, seed, name))


def run_plan(
    plan: Plan,
    seeds: Sequence[int],
    folder: Path,
    *,
    cache: Path | None = None,
    jobs: int = 1,
    on_cells: Callable[[int, int], None] | None = None,
) -> None:
    """Run every cell of the plan that is not kept in ``folder`` yet.

    Args:
        plan: what to run.
        seeds: each with its own split and pre-training.
        folder: where cells are kept.
        cache: of pre-trained MLPs and features; the platform's by default.
        jobs: units (a source at a seed) to run at a time.
        on_cells: called with (cells done, cells in all).

    Raises:
        InputError: the folder holds cells of other data, another model or another evenhand.
        ArtefactError: a cell is damaged.
    """  # noqa: DOC502
    for source in plan.needs:
        claim(folder / "cells" / source.key, source.made_from)
    every = [
        cell_path(folder, source, seed, name)
        for source, names in plan.needs.items()
        for seed in seeds
        for name in names
    ]

    def tell() -> None:
        if on_cells:
            on_cells(sum(path.is_file() for path in every), len(every))

    tell()
    for units in _rounds(plan, seeds):
        left = [u for u in units if not all(is_kept(folder, u[0], u[1], name) for name in u[2])]
        spread(run_unit, [(unit, folder, cache) for unit in left], jobs=jobs, while_running=tell)


def _rounds(plan: Plan, seeds: Sequence[int]) -> list[list[Unit]]:
    """Two rounds: features of images are extracted once, by the first seed, before the others.

    Long units come first, so that no worker is left alone at the end.
    """
    first: list[Unit] = []
    second: list[Unit] = []
    for source, names in sorted(plan.needs.items(), key=lambda pair: -len(pair[1])):
        for place, seed in enumerate(seeds):
            later = isinstance(source, ImageSource) and place > 0
            (second if later else first).append((source, seed, names))
    first.sort(key=lambda unit: not isinstance(unit[0], ImageSource))
    return [first, second]


def results(
    plan: Plan, seeds: Sequence[int], folder: Path, *, parts: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict[str, str]]:
    """All records of the plan as one table, and why some runs gave none.

    Args:
        plan, seeds, folder: as for :func:`run_plan`.
        parts: columns for the parts of settings that are told by several.

    Returns:
        One row a source × method × setting × seed (no times: they differ from run to run), and
        ``source method`` to reason.
    """
    rows, skipped = [], dict(plan.missing)
    for source, names in plan.needs.items():
        for name in names:
            if name in ARRAYS:
                continue
            for seed in seeds:
                cell = read_cell(cell_path(folder, source, seed, name))
                rows += [
                    {"source": source.key}
                    | record.row()
                    | dict(zip(parts, record.setting.parts, strict=False))
                    for record in cell.records
                ]
                if cell.skipped:
                    skipped[f"{source.key} {name}"] = cell.skipped
    return pd.DataFrame(rows, columns=[*COLUMNS, *parts]), skipped
