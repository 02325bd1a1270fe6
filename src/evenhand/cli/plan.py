"""``evenhand plan``."""

from __future__ import annotations

import typer

from evenhand.cli.options import (
    Cache,
    Confidence,
    Data,
    Group,
    Head,
    ImageSize,
    Json,
    Label,
    Layers,
    MaxLength,
    Model,
    Seed,
    Task,
    Weights,
)
from evenhand.cli.terminal import say


def plan(
    task: Task,
    data: Data = None,
    label: Label = None,
    group: Group = None,
    model: Model = None,
    weights: Weights = None,
    head: Head = None,
    image_size: ImageSize = None,
    max_length: MaxLength = None,
    confidence: Confidence = None,
    layers: Layers = 2,
    seed: Seed = 0,
    cache: Cache = None,
    json: Json = False,
) -> None:
    """Tell, before fitting, how small a bound these rows can support."""
    from evenhand.finetuning.recipe import recipe

    asked = recipe(
        task,
        data=data,
        label=label,
        groups=tuple(group or ()),
        model=model,
        weights=weights,
        head=head,
        image_size=image_size,
        max_length=max_length,
        layers=layers,
        cache=cache,
        progress=True,
    )

    from evenhand._base.text import as_json
    from evenhand.criteria import Criterion as Criteria
    from evenhand.groups import known_groups
    from evenhand.heads.selection.requirements import plan as floors_of
    from evenhand.heads.selection.rule import Rule
    from evenhand.heads.selection.warnings import row_warnings
    from evenhand.report.files import plain

    level = asked.config.confidence if confidence is None else confidence
    stage = asked.stage(seed)
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
