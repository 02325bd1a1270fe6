"""``evenhand paper``: the command, a few lines over the library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.options import Backend


def paper(
    what: Annotated[
        str,
        typer.Argument(help="table2, table3, table4, fig1, fig3, fig4, fig5, all, or sensitivity."),
    ] = "all",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0 … N - 1.")] = 10,
    tasks: Annotated[str, typer.Option(help="Of adult, lfwa and celeba, by commas.")] = "adult",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with celeba*.zip, lfwa*.zip and weights such as resnet50.pth."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default runs/paper.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time; default: one a core.")
    ] = None,
    backend: Backend = "loky",
    cache: Annotated[
        Path | None, typer.Option(help="Cache folder; default: $EVENHAND_CACHE or the platform's.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Run the paper's experiments again: tables and figures beside the printed ones, and verdicts.

    evenhand paper all --tasks adult

    evenhand paper fig4 --tasks lfwa,celeba --data DIR --seeds 3

    evenhand paper sensitivity --seeds 3

    A second call with the same --output computes only what is missing.
    """
    import os

    from evenhand._base.processes import backend_of
    from evenhand.cli.terminal import bar, say
    from evenhand.experiments.paper.run import run_paper

    named = [task.strip() for task in tasks.split(",") if task.strip()]
    folder = output or Path("runs") / "paper"
    jobs = jobs or os.cpu_count() or 1
    with backend_of(backend, jobs), bar("paper", None, quiet) as progress:

        def on_cells(done: int, total: int) -> None:
            progress.total = total
            progress.update(done - progress.n)

        run = run_paper(
            what,
            seeds,
            named,
            data,
            folder,
            cache=cache,
            jobs=jobs,
            on_cells=on_cells,
        )
    if json:
        from evenhand._base.text import as_json
        from evenhand.report.files import plain

        records = {name: table.to_dict("records") for name, table in run.tables.items()}
        typer.echo(as_json(plain(records)))
    elif not quiet:
        from evenhand.experiments.paper.page import as_text

        for table in run.tables.values():
            typer.echo(as_text(table) + "\n")
        for name, why in run.plan.missing.items():
            say(f"not run: {name}: {why}")
        say(f"page: {run.page}")
