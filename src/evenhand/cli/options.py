"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Task = Annotated[str, typer.Argument(help="adult, celeba, lfwa, or a task file (task.yaml).")]


Cache = Annotated[
    Path | None, typer.Option(help="Cache folder; default: $EVENHAND_CACHE or the platform's.")
]


Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


Share = Annotated[
    bool,
    typer.Option("--share", help="Let other users read the results, as your umask says."),
]


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Given = dict[str, Any]
"""What the flags of a request say; None where one was not given."""
OF_THE_TASK = (
    "data",
    "label",
    "positive",
    "groups",
    "bins",
    "merge_groups",
    "exclude_groups",
    "rare",
    "min_rows",
    "features",
    "drop",
    "categorical",
    "decimal",
    "missing",
    "file",
    "metadata",
    "text",
    "delimiter",
    "encoding",
    "split",
    "split_by",
    "weight",
    "weight_kind",
    "name",
    "model",
    "weights",
    "head",
    "image_size",
    "max_length",
    "layers",
    "device",
    "precision",
    "batch_size",
)
"""Options that say what is fine-tuned; every command that runs a task has them."""


Backend = Annotated[
    str,
    typer.Option(
        help="Where the processes are: loky (here), dask or ray (a cluster, see docs/how-to/"
        "cluster.md)."
    ),
]
