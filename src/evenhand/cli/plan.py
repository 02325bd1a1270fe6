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
    from evenhand.criteria import Criterion as Criteria
    from evenhand.groups import known_groups
    from evenhand.heads.selection.requirements import plan as floors_of
    from evenhand.heads.selection.rule import Rule
    from evenhand.heads.selection.warnings import row_warnings
    from evenhand.report.files import plain

    level = asked.config.confidence
    stage = asked.stage(asked.config.seed)
    rows = stage.problem.development
    floors = {str(c): floors_of(rows, Rule(criterion=c, confidence=level))[c] for c in Criteria}
    warnings = row_warnings(rows, tuple(Criteria))
    if json:
        typer.echo(as_json(plain({"floors": floors, "warnings": warnings})))
        return
    say(f"{len(rows):,} rows to fit and choose on: {known_groups(rows.groups)}")
    say(f"smallest bound these rows can support at confidence {level:g}, about:")
    for name, floor in floors.items():
        say(f"  {name:20} {floor:.3f}")
    for warning in warnings:
        say(f"note: {warning}")
