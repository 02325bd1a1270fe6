"""``evenhand plan``."""

from __future__ import annotations

import typer

from evenhand.cli.options import OF_THE_TASK, Cache, Given, Json, Task
from evenhand.cli.request_options import takes
from evenhand.cli.terminal import say


@takes(*OF_THE_TASK, "confidence", "seed")
def plan(task: Task, given: Given, cache: Cache = None, json: Json = False) -> None:
    """Tell, before fitting, how small a bound these rows can support."""
    from evenhand.finetuning.recipe import recipe

    asked = recipe(task, cache=cache, progress=True, **given)

    from evenhand._base.text import as_json
    from evenhand.finetuning.plan import Plan
    from evenhand.report.files import plain

    stage = asked.stage(asked.config.seed)
    found = Plan.of(stage.problem.development, asked.config.confidence)
    floors = {str(criterion): floor for criterion, floor in found.floors.items()}
    if json:
        typer.echo(as_json(plain({"floors": floors, "warnings": list(found.warnings)})))
        return
    say(f"{found.rows:,} rows to fit and choose on: {found.groups}")
    say(f"smallest bound these rows can support at confidence {found.confidence:g}, about:")
    for name, floor in floors.items():
        say(f"  {name:20} {floor:.3f}")
    for warning in found.warnings:
        say(f"note: {warning}")
