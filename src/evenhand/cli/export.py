"""``evenhand export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.options import Quiet


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    data: Annotated[
        Path, typer.Argument(help="Real rows to check the export on, as evenhand predict takes.")
    ],
    format: Annotated[str, typer.Option(help="onnx, torch-export or sklearn.")] = "onnx",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; default: model.onnx, … here.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the model of a run in another form, checked against it on real rows.

    evenhand export runs/adult-seed0 new.csv --format onnx -o adult.onnx
    """
    from evenhand.cli.terminal import say
    from evenhand.finetuning.artefact import load
    from evenhand.finetuning.export.export import export as write
    from evenhand.finetuning.predict import first_rows

    model = load(run)
    found = write(model, first_rows(model, data), format, output)
    if not quiet:
        say(
            f"{found.path}: the largest difference of a probability is {found.difference:.1e} on "
            f"{found.rows:,} rows"
        )
