"""``evenhand rerun DIR``: the command, a few lines over the library."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.terminal import say

DISAGREES = 1


MOST = 20


def rerun(
    folder: Annotated[Path, typer.Argument(help="Folder of a finetune, compare, paper or audit.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Keep the new run here; default: nowhere.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Its data, where they have moved.")] = None,
    weights: Annotated[str | None, typer.Option(help="Its weights, where they have moved.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time.")] = 1,
    cache: Annotated[
        Path | None,
        typer.Option(help="Cache folder; an empty one computes features and pre-training anew."),
    ] = None,
    trust_code: Annotated[
        bool,
        typer.Option("--trust-code", help="Import the module that the run names as its model."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Run a kept run again from its own config.yaml, and say whether the numbers agree.

    Exit code 0: every number is within 1e-6 of what it was; 1: some are not, and are named; 2: it
    cannot be run.
    """
    from evenhand.experiments.rerun import Where
    from evenhand.experiments.rerun import rerun as run_again

    with ExitStack() as stack:
        if output is None:
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix="evenhand-rerun-"))
            output = Path(made) / "run"
        outcome = run_again(folder, Where(output, data, weights, cache, jobs, trust_code))
    for note in () if quiet else outcome.notes:
        say(f"note: {note}")
    for one in () if quiet else outcome.far[:MOST]:
        say(str(one))
    if not quiet:
        left = len(outcome.far) - MOST
        say((f"and {left} more\n" if left > 0 else "") + str(outcome))
    if not outcome.agrees:
        raise typer.Exit(DISAGREES)
