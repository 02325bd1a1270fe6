"""``evenhand audit FILE``: the command, a few lines over the library."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from evenhand.auditing.request import OPTIONS, AuditRequest
from evenhand.cli.options import Given, Json, Quiet, Share
from evenhand.cli.request_options import takes
from evenhand.cli.terminal import say
from evenhand.errors import EvenhandError, InputError

FAILED, BAD_INPUT = 1, 2


@takes(*(name for name in OPTIONS if name != "file"), request=AuditRequest)
def audit(
    file: Annotated[
        str,
        typer.Argument(
            help="Decisions: a file (CSV, Parquet, Arrow, JSON lines, Excel, DuckDB), a folder or "
            "pattern of files, a database (postgresql://…), or - for standard input."
        ),
    ],
    given: Given,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for report.html, result.json and CSV tables."),
    ] = None,
    share: Share = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Audit predictions made anywhere: rates, gaps and intervals by group.

    Exit code 0: done; 1: --fail-above or --fail-below does not hold; 2: bad usage or input.
    """
    from evenhand._base.run_folder import run_folder
    from evenhand.auditing.run import audit_of

    try:
        asked = AuditRequest.of(file=file, **given)
        if output is None and (asked.xlsx or asked.pdf):
            raise InputError("give a folder for the files of --xlsx and --pdf: --output DIR")
        with run_folder(output, "audit", shared=share) if output else nullcontext():
            result = audit_of(asked, sys.stdin.buffer.read() if file == "-" else None)
            paths = result.write(output) if output else {}
    except EvenhandError as error:
        say(f"evenhand audit: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from None
    if json:
        from evenhand.report.files import to_json

        typer.echo(to_json(result.to_run()), nl=False)
    elif not quiet:
        from evenhand.auditing.terminal_table import as_text

        typer.echo(as_text(result, color=sys.stdout.isatty()))
        if paths:
            say(f"\nWritten to {output}: {', '.join(paths)}")
    for failure in result.failures:
        say(f"evenhand audit: {failure}", err=True)
    if result.failures:
        raise typer.Exit(FAILED)
