"""Studies of CelebA's attributes, on your own copy of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli.study_kept import Jobs, Output, Quiet, keep

if TYPE_CHECKING:
    from evenhand.finetuning.recipe import Recipe

Faces = Annotated[Path, typer.Option(help="CelebA: its folder or zip.")]


Model = Annotated[str, typer.Option(help="The model whose features are read.")]


Weights = Annotated[Path | None, typer.Option(help="The model's weights.")]


CacheFolder = Annotated[Path | None, typer.Option(help="Cache folder.")]


def labels_command(
    data: Faces,
    model: Model = "resnet18",
    weights: Weights = None,
    group: Annotated[str, typer.Option(help="The attribute whose groups are compared.")] = "Male",
    output: Output = Path("runs/labels-map"),
    jobs: Jobs = None,
    cache: CacheFolder = None,
    quiet: Quiet = False,
) -> None:
    """A map of the gaps that a model's features carry: every attribute of CelebA, one pass.

    A second call with the same --output computes only what is missing.
    """
    import os

    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import bar, machine
    from evenhand.experiments.studies.attributes import attributes, draw, page
    from evenhand.tasks.datasets.celeba import attribute_names

    with run_folder(output, "study labels") as folder:
        made = _faces(data, model, weights, cache, quiet, groups=[group], depth=0)
        labels = [name for name in attribute_names(data) if name != group]
        with bar("fine-tuning", len(labels), quiet) as progress:
            found = attributes(
                made,
                labels,
                folder / "runs",
                jobs=jobs or os.cpu_count() or 1,
                on_done=progress.update,
            )
        picture = draw(found, folder / "labels-map.svg")
        told = {
            "what": f"CelebA ({data.name}) with {_named(model, weights)}",
            "group": group,
            "command": f"evenhand study labels --data {data.name}{_flags(model, weights)}",
            "machine": machine(),
        }
        asked = _asked("study labels", data, model, weights) | {"group": group}
        keep(folder, asked, page(found, picture.name, told), (found,), quiet)


def worst_groups_command(
    data: Faces,
    model: Model = "resnet18",
    weights: Weights = None,
    seeds: Annotated[int, typer.Option(min=2, help="How many seeds: 0 … N - 1.")] = 5,
    output: Output = Path("runs/worst-groups"),
    jobs: Jobs = None,
    cache: CacheFolder = None,
    quiet: Quiet = False,
) -> None:
    """The worst group's and cell's accuracy beside group DRO and DFR, on CelebA's wavy hair."""
    import os

    from evenhand._base.run_folder import run_folder
    from evenhand.cli.terminal import bar, machine
    from evenhand.experiments.studies import worst_groups as study

    with run_folder(output, "study worst-groups") as folder:
        made = _faces(data, model, weights, cache, quiet)
        with bar("fitting", seeds * len(study.FEATURES), quiet) as progress:
            rows = study.worst_groups(
                made, range(seeds), jobs=jobs or os.cpu_count() or 1, on_done=progress.update
            )
        command = (
            f"evenhand study worst-groups --data {data.name}{_flags(model, weights)} "
            f"--seeds {seeds}"
        )
        what = f"CelebA ({data.name}), Wavy_Hair given Male, {_named(model, weights)}"
        keep(
            folder,
            _asked("study worst-groups", data, model, weights) | {"seeds": seeds},
            study.page(rows, what, command, machine()),
            (rows, study.at_equal_accuracy(rows)),
            quiet,
        )


def _faces(
    data: Path, model: str, weights: Path | None, cache: Path | None, quiet: bool, **given: Any
) -> Recipe:
    from evenhand.cli.terminal import shows_bars
    from evenhand.finetuning.recipe import recipe

    return recipe(
        "celeba",
        data=data,
        model=model,
        weights=None if weights is None else str(weights),
        cache=cache,
        progress=shows_bars(quiet),
        **given,
    )


def _flags(model: str, weights: Path | None) -> str:
    return f" --model {model}" + ("" if weights is None else f" --weights {weights.name}")


def _named(model: str, weights: Path | None) -> str:
    return model if weights is None else f"{model} ({weights.name})"


def _asked(command: str, data: Path, model: str, weights: Path | None) -> dict[str, Any]:
    return {
        "command": command,
        "data": str(data),
        "model": model,
        "weights": weights and str(weights),
    }
