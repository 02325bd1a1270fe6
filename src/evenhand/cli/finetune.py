"""``evenhand finetune``."""

from __future__ import annotations

from pathlib import Path

import typer

from evenhand.cli.options import Cache, Given, Json, Quiet, Share, Task
from evenhand.cli.request_options import takes
from evenhand.finetuning.request import OPTIONS


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

    torchrun --nproc-per-node 2 -m evenhand finetune task.yaml    (shares the extraction)

    Exits with 1 where a bound asked for is not promised, unless --allow-unpromised is given.
    """
    from evenhand._base.distributed import together
    from evenhand.finetuning.recipe import recipe

    world = context.with_resource(together())
    quiet = quiet or not world.first
    asked = recipe(task, cache=cache, progress=not quiet, **given)
    request = asked.config
    rule = request.rule()

    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import bar, echo_run, say
    from evenhand.finetuning.finetune import finetune_stage
    from evenhand.finetuning.fitting import fits_of

    folder = request.output or Path("runs") / f"{asked.task}-seed{request.seed}"
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
    if result.promised is False and not request.allow_unpromised:
        say("the bound is not promised: exit code 1 (0 with --allow-unpromised)", err=True)
        raise typer.Exit(1)
