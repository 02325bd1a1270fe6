"""``evenhand sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.options import Backend, Cache, Given, Json, Quiet, Task
from evenhand.cli.request_options import takes
from evenhand.cli.terminal import shows_bars
from evenhand.finetuning.request import OPTIONS


@takes(*(name for name in OPTIONS if name not in ("task", "output")))
def sweep(
    task: Task,
    given: Given,
    over: Annotated[
        list[str],
        typer.Option("--over", help="An option and its values, as bound=.05,.1; repeatable."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default runs/sweep-TASK.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time; default: one a core.")
    ] = None,
    backend: Backend = "loky",
    cache: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune at every combination of some options' values, each kept in a folder of its own.

    evenhand sweep task.yaml --over bound=.05,.1 --over criterion=equalized_odds,demographic_parity

    evenhand sweep adult --over seed=0,1,2 --over layers=2,3

    A second call with the same --output computes only what is missing. A value is read as a task
    file reads it; a list of values with commas of their own is written [[a, b], [c]].
    """
    import os

    from evenhand.cli.settings import values_over
    from evenhand.finetuning.recipe import recipe

    values = values_over(over)
    asked = recipe(task, cache=cache, progress=shows_bars(quiet), **given)

    from evenhand._base.processes import backend_of
    from evenhand.cli.terminal import bar, say
    from evenhand.experiments.sweep import TABLE, to_json
    from evenhand.experiments.sweep import sweep as run_sweep

    folder = output or Path("runs") / f"sweep-{asked.task}"
    total = 1
    for listed in values.values():
        total *= len(listed)
    number = jobs or os.cpu_count() or 1
    with backend_of(backend, number), bar("fine-tuning", total, quiet) as progress:
        found = run_sweep(asked, values, folder, jobs=number, on_done=progress.update)
    if json:
        typer.echo(to_json(found))
    elif not quiet:
        shown = [name for name in found.columns if name not in ("setting", "folder")]
        say(found[shown].to_string(index=False, na_rep="", float_format=lambda v: f"{v:.3f}"))
        say(f"\nruns and {TABLE}: {folder}")
