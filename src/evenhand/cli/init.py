"""``evenhand init``: a commented task.yaml on standard output."""

from __future__ import annotations

from typing import Annotated

import typer


def init(
    kind: Annotated[str, typer.Argument(help="table, images or text.")] = "table",
) -> None:
    """Write a commented example: evenhand init images > task.yaml."""
    from evenhand.finetuning.task_file_example import example

    typer.echo(example(kind), nl=False)
