"""``evenhand plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.options import OF_THE_TASK, Cache, Given, Json, Quiet, Task
from evenhand.cli.request_options import takes
from evenhand.cli.terminal import shows_bars


@takes(
    *OF_THE_TASK,
    "from_run",
    "bound",
    "criterion",
    "confidence",
    "error",
    "fresh_head",
    "adapter",
    "depth",
    "plain",
    "seed",
)
def plan(
    task: Task,
    given: Given,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A picture (svg, png, pdf) or a page (html)."),
    ] = None,
    cache: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell what a bound would cost, and which groups are too small, before it is asked for.

    evenhand plan adult

    evenhand plan task.yaml --criterion demographic_parity -o price.html

    One cross-fitted path, judged on the rows to fit and choose on; no test row is read. Features
    are cached, and read from the cache by finetune.
    """
    from evenhand.finetuning.recipe import recipe

    asked = recipe(task, cache=cache, progress=shows_bars(quiet), **given)
    request = asked.config
    rule = request.rule()

    from evenhand._base.text import as_json
    from evenhand.cli.terminal import bar, say
    from evenhand.finetuning.fitting import fits_of
    from evenhand.finetuning.plan import plan_stage
    from evenhand.finetuning.plan_page import require_kind
    from evenhand.finetuning.plan_text import as_dict
    from evenhand.report.files import plain

    if output is not None:
        require_kind(output)  # before any work
    with bar("preparing", None, quiet):
        stage = asked.stage(request.seed)
    with bar("fitting", fits_of(stage.problem, request, rule), quiet) as progress:
        found = plan_stage(stage, request, on_fit=progress.update)
    if output is not None:
        found.save(output)
    if json:
        typer.echo(as_json(plain(as_dict(found))))
    elif not quiet:
        say(found)
        if output is not None:
            say(f"\nwritten: {output}")
