"""``evenhand compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.options import OF_THE_TASK, Backend, Cache, Given, Json, Quiet, Share, Task
from evenhand.cli.request_options import takes
from evenhand.cli.terminal import shows_bars


@takes(*OF_THE_TASK, "bound", "confidence", "error", "depth")
def compare(
    task: Task,
    given: Given,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0 … N - 1.")] = 5,
    methods: Annotated[
        str | None, typer.Option(help="Names separated by commas; all by default.")
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Method (or method:setting) of the paired differences.")
    ] = "transfer:dense",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default runs/compare-TASK.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Seeds to run at a time; default: one a core.")
    ] = None,
    backend: Backend = "loky",
    share: Share = False,
    cache: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run every method side by side over seeds: paired intervals, the frontier, a report.

    evenhand compare adult --seeds 10

    evenhand compare adult --methods transfer,gap-eo,fairret --bound equalized_odds=0.1

    evenhand compare adult --depth auto    (every method reads the stages before the head too)

    A second call with the same --output computes only what is missing.
    """
    import os
    from dataclasses import replace

    from evenhand.finetuning.recipe import recipe

    asked = recipe(task, cache=cache, progress=shows_bars(quiet), **given)
    asked = replace(asked, all_deep=given["depth"] not in (None, "0"))
    request = asked.config

    from evenhand._base.events import Event
    from evenhand._base.processes import backend_of
    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import bar, echo_comparison
    from evenhand.experiments.compare.as_run import as_run
    from evenhand.experiments.compare.run import compare as run_compare
    from evenhand.heads.selection.rule import MAX_COST, make_rule

    rules = [
        make_rule([bound], bound.criterion, request.confidence, MAX_COST, request.error)
        for bound in request.bounds
    ]
    folder = output or Path("runs") / f"compare-{asked.task}"
    name, _, setting = reference.partition(":")
    jobs = jobs or os.cpu_count() or 1
    with (
        run_folder(folder, "compare", shared=share),
        backend_of(backend, jobs),
        bar("comparing", None, quiet) as progress,
    ):

        def on_event(event: Event) -> None:
            if event.name == "progress":
                progress.total = event.values["of"]
                progress.update(event.values["done"] - progress.n)

        result = run_compare(
            asked,
            range(seeds),
            folder,
            methods=[m.strip() for m in methods.split(",")] if methods is not None else None,
            rules=rules,
            reference=(name, setting or "dense"),
            jobs=jobs,
            on_event=on_event,
        )
    echo_comparison(as_run(result), result, json=json, quiet=quiet)
