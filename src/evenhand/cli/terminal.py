"""What a command shows: bars while it works, one table when it is done."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from evenhand.experiments.compare.comparison import Comparison
    from evenhand.report.record import Run


def shows_bars(quiet: bool) -> bool:
    """Whether a bar is drawn: never into a file, where each of its steps would be a line's end."""
    return not quiet and sys.stderr.isatty()


@contextmanager
def bar(what: str, total: int | None, quiet: bool) -> Iterator[Any]:
    """A progress bar on standard error; silent when that is not a terminal."""
    from tqdm import tqdm

    shown = shows_bars(quiet)
    with tqdm(total=total, desc=what, disable=not shown, leave=False, delay=1) as progress:
        yield progress


def say(text: Any, *, err: bool = False) -> None:
    """Print lines that hold names from data: what could act on the terminal is written out."""
    from evenhand._base.text import visible_lines

    typer.echo(visible_lines(text), err=err)


def echo_run(run: Run, folder: Path, *, json: bool, quiet: bool) -> None:
    """Print a run: its JSON, or its table, what was decided, and where the files are."""
    from evenhand.report.files import to_json
    from evenhand.report.terminal_table import comparison

    if json:
        typer.echo(to_json(run))
        return
    if quiet:
        return
    say(run.asked)
    typer.echo("")
    typer.echo(comparison(run.records, run.criteria, color=sys.stdout.isatty()))
    typer.echo("")
    say(run.decided)
    for warning in run.warnings:
        say(f"note: {warning}")
    say(f"\nreport: {folder / 'report.html'}\nmodel:  {folder / 'model'}")


def echo_comparison(run: Run, comparison: Comparison, *, json: bool, quiet: bool) -> None:
    """Print a comparison: its JSON, or its table and where the files are."""
    from evenhand.report.files import to_json
    from evenhand.report.terminal_table import comparison as table

    if json:
        typer.echo(to_json(run))
        return
    if quiet:
        return
    say(run.asked + "\n")
    typer.echo(table(comparison.shown, run.criteria, color=sys.stdout.isatty()))
    say("\n" + run.decided)
    for warning in run.warnings:
        say(f"note: {warning}")
    say(f"\nresults, paired differences, frontier and report: {comparison.folder}")


def machine() -> str:
    """The kind of machine, for a page that shows figures."""
    import os
    import platform

    return f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores"
