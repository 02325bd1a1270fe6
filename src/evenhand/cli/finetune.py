"""``evenhand finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evenhand.cli.options import Cache, Given, Json, Quiet, Share, Task
from evenhand.cli.request_options import takes
from evenhand.cli.terminal import shows_bars
from evenhand.finetuning.request import OPTIONS

if TYPE_CHECKING:
    from evenhand._base.distributed import World
    from evenhand.finetuning.recipe import Recipe
    from evenhand.finetuning.request import FinetuneRequest


@takes(*(name for name in OPTIONS if name != "task"))
def finetune(
    context: typer.Context,
    task: Task,
    given: Given,
    share: Share = False,
    cache: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a model evenly: a before/after table, a report and a model that loads anywhere.

    evenhand finetune adult

    evenhand finetune adult --bound equalized_odds=0.10 --confidence 0.9

    evenhand finetune task.yaml

    evenhand finetune celeba --data celeba.zip --label Smiling --label Attractive    (a model each)

    torchrun --nproc-per-node 2 -m evenhand finetune task.yaml    (shares the extraction)

    Exits with 1 where a bound asked for is not promised, unless --allow-unpromised is given.
    """
    from evenhand._base.distributed import together
    from evenhand.finetuning.recipe import recipe

    world = context.with_resource(together())
    quiet = quiet or not world.first
    asked = recipe(task, cache=cache, progress=shows_bars(quiet), several=True, **given)
    request = asked.config
    rule = request.rule()

    if len(request.labels) > 1:
        _several(context, asked, world, share=share, json=json, quiet=quiet)
        return

    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import bar, echo_run
    from evenhand.finetuning.finetune import finetune_stage
    from evenhand.finetuning.fitting import fits_of

    folder = _folder(asked)
    if world.first:
        context.with_resource(run_folder(folder, "finetune", shared=share))
    with bar("preparing", None, quiet):
        stage = asked.stage(request.seed, world)
    total = fits_of(stage.problem, request, rule)
    with bar("fitting", total, quiet) as progress:
        result = finetune_stage(stage, request, on_fit=progress.update)
    if not world.first:
        return
    result.save(folder)
    echo_run(result.run, folder, json=json, quiet=quiet)
    _end(result.promised, request)


def _several(
    context: typer.Context, asked: Recipe, world: World, *, share: bool, json: bool, quiet: bool
) -> None:
    """A run for each label, and what is told of all."""
    from evenhand._base.run_folder import OF_LABELS, run_folder
    from evenhand.cli.terminal import bar, say
    from evenhand.finetuning.several_labels import finetune_recipe

    folder = _folder(asked)
    if world.first:
        context.with_resource(run_folder(folder, OF_LABELS, shared=share))
    with bar("labels", len(asked.config.labels), quiet) as progress:
        runs = finetune_recipe(asked, folder, world=world, on_done=progress.update)
    if not world.first:
        return
    if json:
        typer.echo(runs.to_json())
    elif not quiet:
        say(f"{runs.asked}\n\n{runs}\n\n{runs.decided}")
        say(f"\nreport: {folder / 'report.html'}\nmodels: {folder / 'labels'}")
    _end(runs.promised, asked.config)


def _folder(asked: Recipe) -> Path:
    return asked.config.output or Path("runs") / f"{asked.task}-seed{asked.config.seed}"


def _end(promised: bool | None, request: FinetuneRequest) -> None:
    """Exit with 1 where a bound asked for is not promised."""
    from evenhand.cli.terminal import say

    if promised is False and not request.allow_unpromised:
        say("the bound is not promised: exit code 1 (0 with --allow-unpromised)", err=True)
        raise typer.Exit(1)
