"""The command line: verbs of a few lines over the library."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from evenhand.audit_cli import audit
from evenhand.cache_cli import app as cache_app
from evenhand.errors import EvenhandError
from evenhand.init_cli import init
from evenhand.paper_cli import paper
from evenhand.rerun_cli import rerun
from evenhand.study_cli import app as study_app

BAD_INPUT, INTERRUPTED = 2, 130
INTERRUPTION = "interrupted; what was finished is kept, and the same command goes on from there"

app = typer.Typer(
    help="Fine-tune a pre-trained model so that its decisions fall evenly on groups.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cache_app, name="cache")
app.add_typer(study_app, name="study")

Task = Annotated[str, typer.Argument(help="adult, celeba, lfwa, or a task file (task.yaml).")]
Data = Annotated[Path | None, typer.Option(help="The task's data: a file, folder or zip.")]
Label = Annotated[str | None, typer.Option(help="What to predict, where the task has a choice.")]
Group = Annotated[list[str] | None, typer.Option(help="Group column; repeat to cross several.")]
Model = Annotated[str | None, typer.Option(help="Model: a name, or a transformers folder.")]
Weights = Annotated[str | None, typer.Option(help="A file of the model's weights.")]
Head = Annotated[str | None, typer.Option(help="Path of the model's head; found by default.")]
ImageSize = Annotated[int | None, typer.Option(min=16, max=4096, help="Side of images in pixels.")]
MaxLength = Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Tokens kept of a text.")]
Seed = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Of the split and every random choice.")
]
Bounds = Annotated[
    list[str] | None,
    typer.Option("--bound", help="Gap to keep below, as equalized_odds=0.10; repeatable."),
]
Confidence = Annotated[float | None, typer.Option(help="Of the bounds, one-sided; default 0.9.")]
MaxCost = Annotated[
    float, typer.Option(help="Points of error to pay at most where no bound is given.")
]
ErrorName = Annotated[
    str | None,
    typer.Option("--error", help="Error to lower: f1 (default), accuracy, balanced or log_loss."),
]
Criterion = Annotated[
    str | None,
    typer.Option(
        help="Gap to lessen: equalized_odds (default), demographic_parity or equal_opportunity."
    ),
]
Layers = Annotated[int, typer.Option(min=2, max=5, help="Layers of Adult's MLP.")]
Cache = Annotated[
    Path | None, typer.Option(help="Cache folder; default: $EVENHAND_CACHE or the platform's.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"evenhand {version('evenhand')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
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
    from evenhand.bounds import Bound
    from evenhand.distributed import together
    from evenhand.recipe import recipe

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

    from evenhand.even import fits_needed
    from evenhand.finetuning import finetune_stage, make_rule
    from evenhand.terminal import bar, echo_run

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
    if world.first:
        _folder(folder)
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
            rank=_rank(rank),
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


@app.command()
def compare(
    task: Task,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0 … N - 1.")] = 5,
    methods: Annotated[
        str | None, typer.Option(help="Names separated by commas; all by default.")
    ] = None,
    data: Data = None,
    label: Label = None,
    group: Group = None,
    model: Model = None,
    weights: Weights = None,
    head: Head = None,
    image_size: ImageSize = None,
    max_length: MaxLength = None,
    bound: Bounds = None,
    confidence: Confidence = None,
    error: ErrorName = None,
    layers: Layers = 2,
    reference: Annotated[
        str, typer.Option(help="Method (or method:setting) of the paired differences.")
    ] = "transfer:dense",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default runs/compare-TASK.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Seeds to run at a time; default: one a core.")
    ] = None,
    cache: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run every method side by side over seeds: paired intervals, the frontier, a report.

    evenhand compare adult --seeds 10

    evenhand compare adult --methods transfer,gap-eo,fairret --bound equalized_odds=0.1

    A second call with the same --output computes only what is missing.
    """
    import os

    from evenhand.bounds import Bound
    from evenhand.recipe import recipe

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
    bounds = [Bound.parse(text) for text in bound or []] or asked.bounds

    from evenhand.compare.run import as_run
    from evenhand.compare.run import compare as run_compare
    from evenhand.finetuning import make_rule
    from evenhand.terminal import bar, echo_comparison

    level = asked.config.confidence if confidence is None else confidence
    metric = asked.config.error if error is None else error
    rules = [make_rule([one], one.criterion, level, 0.5, metric) for one in bounds]
    folder = _folder(output or Path("runs") / f"compare-{asked.task}")
    name, _, setting = reference.partition(":")
    with bar("comparing", None, quiet) as progress:

        def on_cells(done: int, total: int) -> None:
            progress.total = total
            progress.update(done - progress.n)

        result = run_compare(
            asked,
            range(seeds),
            folder,
            methods=[m.strip() for m in methods.split(",")] if methods else None,
            rules=rules,
            reference=(name, setting or "dense"),
            jobs=jobs or os.cpu_count() or 1,
            on_cells=on_cells,
        )
    echo_comparison(as_run(result), result, json=json, quiet=quiet)


@app.command()
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
    import json as json_library

    from evenhand.recipe import recipe

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

    from evenhand.checks import known_groups, row_warnings
    from evenhand.checks import plan as floors_of
    from evenhand.criteria import Criterion as Criteria
    from evenhand.select import Rule

    level = asked.config.confidence if confidence is None else confidence
    stage = asked.stage(seed)
    rows = stage.problem.development
    floors = {str(c): floors_of(rows, Rule(criterion=c, confidence=level))[c] for c in Criteria}
    warnings = row_warnings(rows, tuple(Criteria))
    if json:
        typer.echo(json_library.dumps({"floors": floors, "warnings": warnings}, indent=2))
        return
    typer.echo(f"{len(rows):,} rows to fit and choose on: {known_groups(rows.groups)}")
    typer.echo(f"smallest bound these rows can support at confidence {level:g}, about:")
    for name, floor in floors.items():
        typer.echo(f"  {name:20} {floor:.3f}")
    for warning in warnings:
        typer.echo(f"note: {warning}")


def _rank(text: str | None) -> Any:
    """A whole number, ``"auto"`` or nothing."""
    from evenhand.errors import InputError

    if text is None or text == "auto":
        return text
    if not text.lstrip("-").isdigit():
        raise InputError(f"--rank is a whole number or auto, not {text!r}")
    return int(text)


def _folder(path: Path) -> Path:
    """A folder that can be written to, found out before any work is done."""
    from evenhand.artefacts import writable_folder

    return writable_folder(path)


app.command()(audit)
app.command()(init)
app.command()(paper)
app.command()(rerun)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; no traceback reaches a user for bad input.

    Exit codes: 0 done, 1 a check that was asked for failed, 2 bad usage or input, 130 interrupted.
    """
    command: Any = typer.main.get_command(app)
    try:
        sys.exit(command.main(args=arguments, prog_name="evenhand", standalone_mode=True))
    except SystemExit as done:  # typer turns ctrl-C into this code, without a word
        if done.code == INTERRUPTED:
            typer.echo(INTERRUPTION, err=True)
        raise
    except EvenhandError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(BAD_INPUT)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        typer.echo(f"error: {error.strerror or error}{where}", err=True)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        typer.echo(INTERRUPTION, err=True)
        sys.exit(INTERRUPTED)
