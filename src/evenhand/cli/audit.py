"""``evenhand audit FILE``: the command, a few lines over the library."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from evenhand.cli.options import Share
from evenhand.cli.terminal import say
from evenhand.errors import EvenhandError

FAILED, BAD_INPUT = 1, 2


def audit(
    file: Annotated[
        Path, typer.Argument(help="File of predictions: CSV, Parquet, Arrow, JSON lines, Excel.")
    ],
    label: Annotated[str, typer.Option(help="Column of what was true.")],
    group: Annotated[list[str], typer.Option(help="Group column; repeat for several.")],
    prediction: Annotated[str | None, typer.Option(help="Column of what was decided.")] = None,
    score: Annotated[str | None, typer.Option(help="Column of scores (two classes).")] = None,
    cross: Annotated[bool, typer.Option(help="Audit the crossings of the groups too.")] = True,
    threshold: Annotated[float, typer.Option(help="Score from which on it is positive.")] = 0.5,
    positive: Annotated[str | None, typer.Option(help="The positive class.")] = None,
    criterion: Annotated[
        str, typer.Option(help="What the report shows: equalized_odds, demographic_parity, …")
    ] = "equalized_odds",
    min_count: Annotated[int, typer.Option(help="Flag cells with fewer rows.", min=0)] = 100,
    suppress_below: Annotated[
        int, typer.Option(help="Do not show groups with fewer rows.", min=0)
    ] = 0,
    missing: Annotated[
        list[str] | None, typer.Option(help="Further word for a missing value; repeatable.")
    ] = None,
    fail_above: Annotated[
        list[str] | None,
        typer.Option(help="Exit with 1 if a gap is above, as equalized_odds=0.1; repeatable."),
    ] = None,
    by_upper: Annotated[
        bool,
        typer.Option(
            "--by-upper",
            help="Judge --fail-above by the upper end of the 95 % interval, not by the estimate.",
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Folder for report.html, result.json and CSV tables.")
    ] = None,
    share: Share = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Audit predictions made anywhere: rates, gaps and intervals by group.

    Exit code 0: done; 1: a gap is above what --fail-above allows; 2: bad usage or input.
    """
    from evenhand._base.asked import CONFIG, write_config
    from evenhand._base.run_folder import run_folder
    from evenhand._base.seals import write_sums
    from evenhand.auditing import audit as run_audit
    from evenhand.auditing.terminal_table import as_text
    from evenhand.criteria import Criterion

    try:
        limits = parse_limits(fail_above or [])
        asked = Criterion.parse(criterion)
        asked_for: dict[str, Any] = {
            "label": label,
            "prediction": prediction,
            "score": score,
            "groups": group,
            "cross": cross,
            "threshold": threshold,
            "positive": positive,
            "min_count": min_count,
            "suppress_below": suppress_below,
            "missing": missing or [],
        }
        with run_folder(output, "audit", shared=share) if output else nullcontext():
            result = run_audit(file, **asked_for)
            paths: dict[str, Path] = {}
            if output:
                kept = {"command": "audit", "file": str(file), **asked_for}
                write_config(output, kept | {"criterion": asked.value})
                paths = result.write(output, asked, file.stem)
                write_sums(output, [CONFIG, *paths])
    except EvenhandError as error:
        say(f"evenhand audit: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from None
    if json:
        from evenhand.report.files import to_json

        typer.echo(to_json(result.to_run(asked, file.stem)), nl=False)
    elif not quiet:
        typer.echo(as_text(result, color=sys.stdout.isatty()))
        if paths:
            say(f"\nWritten to {output}: {', '.join(paths)}")
    failures = result.above(limits, by_upper=by_upper)
    for failure in failures:
        say(f"evenhand audit: {failure}", err=True)
    if failures:
        raise typer.Exit(FAILED)


def parse_limits(texts: list[str]) -> dict[str, float]:
    """``["equalized_odds=0.1"]`` as criterion to limit.

    Raises:
        InputError: not of the form CRITERION=NUMBER, or no such criterion.
    """
    from evenhand.criteria import Criterion
    from evenhand.errors import InputError

    limits: dict[str, float] = {}
    for text in texts:
        name, _, limit = text.partition("=")
        criterion = Criterion.parse(name).value
        try:
            value = float(limit)
        except ValueError:
            raise InputError(
                f"--fail-above takes CRITERION=NUMBER such as equalized_odds=0.1, found {text!r}"
            ) from None
        if not 0 <= value <= 2:
            raise InputError(f"a gap lies between 0 and 2, found {text!r}")
        if criterion in limits:
            raise InputError(f"--fail-above gives {criterion} twice; give it once")
        limits[criterion] = value
    return limits
