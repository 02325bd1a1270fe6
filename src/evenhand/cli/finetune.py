"""``evenhand finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evenhand.cli.options import (
    Bounds,
    Cache,
    Confidence,
    Criterion,
    Data,
    ErrorName,
    Group,
    Head,
    ImageSize,
    Json,
    Label,
    Layers,
    MaxCost,
    MaxLength,
    Model,
    Quiet,
    Seed,
    Share,
    Task,
    Weights,
)


def finetune(
    context: typer.Context,
    task: Task,
    data: Data = None,
    label: Label = None,
    group: Group = None,
    model: Model = None,
    weights: Weights = None,
    head: Head = None,
    image_size: ImageSize = None,
    max_length: MaxLength = None,
    bound: Bounds = None,
    criterion: Criterion = None,
    confidence: Confidence = None,
    max_cost: MaxCost = 0.5,
    error: ErrorName = None,
    strength: Annotated[
        float | None, typer.Option(help="Take this strength of the penalty, without choosing.")
    ] = None,
    rank: Annotated[
        str | None,
        typer.Option(help="Rank of low-rank heads, or auto; default classes - 1, ours dense."),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="The first group's weight in the paper's method.")
    ] = None,
    adapter: Annotated[
        int, typer.Option(min=0, help="Rank of an adapter on the last hidden layer to try.")
    ] = 0,
    layers: Layers = 2,
    seed: Seed = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder; default runs/TASK-seedN.")
    ] = None,
    share: Share = False,
    cache: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a model evenly: a before/after table, a report and a model that loads anywhere.

    evenhand finetune adult

    evenhand finetune adult --bound equalized_odds=0.10 --confidence 0.9

    evenhand finetune task.yaml

    torchrun --nproc-per-node 2 -m evenhand finetune task.yaml    (shares the extraction)
    """
    from evenhand._base.distributed import together
    from evenhand.finetuning.recipe import recipe
    from evenhand.heads.selection.rule import Bound

    world = context.with_resource(together())
    quiet = quiet or not world.first

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
        progress=not quiet,
    )
    limits = [Bound.parse(text) for text in bound or []]

    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import bar, echo_run
    from evenhand.finetuning.finetune import finetune_stage
    from evenhand.heads.selection.fair_head import fits_needed
    from evenhand.heads.selection.rule import make_rule

    bounds = limits or asked.bounds
    file = asked.config
    rule = make_rule(
        bounds,
        criterion or file.criterion,
        file.confidence if confidence is None else confidence,
        max_cost,
        file.error if error is None else error,
    )
    folder = output or file.output or Path("runs") / f"{asked.task}-seed{seed}"
    given_rank = _rank(rank)
    if world.first:
        context.with_resource(run_folder(folder, "finetune", shared=share))
    with bar("preparing", None, quiet):
        stage = asked.stage(seed, world)
    config = {
        "command": "finetune",
        **asked.resolved,
        "bounds": {str(b.criterion): b.limit for b in rule.bounds},
        "criterion": str(rule.criterion),
        "confidence": rule.confidence,
        "max_cost": rule.max_cost,
        "error": rule.error,
        "strength": strength,
        "rank": rank,
        "alpha": alpha,
        "adapter": adapter,
        "seed": seed,
    }
    total = fits_needed(rule, adapter=bool(adapter)) if strength is None else None
    with bar("fitting", total, quiet) as progress:
        result = finetune_stage(
            stage,
            rule,
            rank=given_rank,
            alpha=alpha,
            strength=strength,
            adapter=adapter,
            config=config,
            on_fit=progress.update,
        )
    if not world.first:
        return
    result.save(folder)
    echo_run(result.run, folder, json=json, quiet=quiet)


def _rank(text: str | None) -> Any:
    """A whole number, ``"auto"`` or nothing."""
    from evenhand.errors import InputError

    if text is None or text == "auto":
        return text
    if not text.lstrip("-").isdigit():
        raise InputError(f"--rank is a whole number or auto, not {text!r}")
    return int(text)
