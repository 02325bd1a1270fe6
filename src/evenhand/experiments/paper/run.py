"""A run of the paper from what was asked to the folder a reader opens, and again later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from evenhand._base.asked import write_asked
from evenhand._base.run_folder import run_folder
from evenhand.experiments.paper.execute import run_plan
from evenhand.experiments.paper.plan import Plan
from evenhand.experiments.paper.plan import plan as plan_of
from evenhand.experiments.paper.sensitivity import write_sensitivity
from evenhand.experiments.paper.write import by_claim, write_paper

PACKAGES = ("evenhand", "torch", "numpy", "scipy", "scikit-learn")


ENDINGS = (".csv", ".html", ".md", ".svg")


@dataclass(frozen=True, eq=False)
class PaperRun:
    """What a run of the paper shows.

    Attributes:
        plan: what was run, and what could not be.
        tables: name to table, for the terminal.
        page: the file to open.
    """

    plan: Plan
    tables: dict[str, pd.DataFrame]
    page: Path


def run_paper(
    what: str,
    seeds: int,
    tasks: Sequence[str],
    data: Path | None,
    folder: Path,
    *,
    cache: Path | None = None,
    jobs: int = 1,
    on_cells: Callable[[int, int], None] | None = None,
) -> PaperRun:
    """Run what is asked, keep every cell, judge and write it; see ``evenhand paper``.

    Raises:
        InputError: no such table, figure, task or data, or a folder of other results.
        ArtefactError: a kept cell is damaged.
    """  # noqa: DOC502
    plan = plan_of(what, tasks, data)
    with run_folder(folder, "paper"):
        run_plan(plan, range(seeds), folder, cache=cache, jobs=jobs, on_cells=on_cells)
        if what == "sensitivity":
            tables = {"readings": write_sensitivity(plan, range(seeds), folder)}
            page = folder / "sensitivity.html"
        else:
            outcome = write_paper(plan, range(seeds), folder)
            tables = {"verdicts": outcome.verdicts, "evenhand": by_claim(outcome.own)}
            page = folder / "paper.html"
        config = {
            "command": "paper",
            "what": what,
            "seeds": seeds,
            "tasks": list(tasks),
            "data": None if data is None else str(data),
            "versions": {name: version(name) for name in PACKAGES},
        }
        write_asked(folder, config, [f.name for f in folder.iterdir() if f.suffix in ENDINGS])
    return PaperRun(plan, tables, page)
