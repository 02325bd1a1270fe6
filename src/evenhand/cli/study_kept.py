"""What every study's command takes, and how its page and tables are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for the CSV and the page.")]


Jobs = Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")]


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def keep(
    folder: Path,
    asked: Mapping[str, Any],
    text: str,
    tables: Sequence[pd.DataFrame],
    quiet: bool,
) -> None:
    """Write a study's page with its tables as CSV and what was asked, and show the page."""
    from evenhand._base.asked import write_asked
    from evenhand._base.files import write_atomically
    from evenhand._base.run_folder import STUDIES
    from evenhand._base.text import frame_to_csv

    names = STUDIES[asked["command"]]
    page = folder / names[0]
    csvs = [folder / name for name in names if name.endswith(".csv")]
    for path, table in zip(csvs, tables, strict=True):
        write_atomically(path, frame_to_csv(table))
    write_atomically(page, text)
    write_asked(folder, asked, list(names))
    if not quiet:
        typer.echo(text)
