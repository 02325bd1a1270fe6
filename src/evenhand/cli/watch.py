"""``evenhand watch RUN NEW_DECISIONS``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from evenhand.auditing.watching.request import OPTIONS, WatchRequest
from evenhand.cli.options import Given, Json, Quiet
from evenhand.cli.request_options import takes
from evenhand.cli.terminal import say

BROKEN = 1


@takes(*OPTIONS, request=WatchRequest)
def watch(
    run: Annotated[Path, typer.Argument(help="Folder of a fine-tuning run (or of an audit).")],
    decisions: Annotated[
        str,
        typer.Argument(help="The new decisions alone: whatever audit takes, each row once."),
    ],
    given: Given,
    log: Annotated[
        Path | None, typer.Option(help="The log of all looks; default: watch.jsonl in the run.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with the time line here.")
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option(help="Write OpenMetrics text here, for a scraper.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Is the promise still kept? Count new decisions, as often as you like.

    evenhand predict runs/adult-seed0 new.csv -o decided.csv --columns sex

    evenhand watch runs/adult-seed0 decided.csv

    Exit code 0: kept, or one cannot tell yet; 1: broken; 2: bad usage or input.
    """
    from evenhand._base.files import write_atomically
    from evenhand._base.text import as_json
    from evenhand.auditing.watching import views
    from evenhand.auditing.watching.watch import watch as look

    source = sys.stdin.buffer.read() if decisions == "-" else decisions
    found = look(run, source, log=log, **given)
    if report is not None:
        write_atomically(report, views.as_page(found))
    if metrics is not None:
        write_atomically(metrics, views.as_metrics(found))
    if json:
        typer.echo(as_json(dict(found.last)))
    elif not quiet:
        say(views.as_text(found))
    if found.broken:
        if quiet or json:
            say("evenhand watch: the promise is broken", err=True)
        raise typer.Exit(BROKEN)
