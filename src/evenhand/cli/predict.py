"""``evenhand predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.options import Json, Quiet


def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    data: Annotated[
        Path,
        typer.Argument(
            help="New rows: a table of any format; of images also a folder, a zip or shards (.tar)."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write: a .csv or .parquet file.")
    ],
    columns: Annotated[
        str | None,
        typer.Option(help="Columns of the data to carry through, parted by commas, as id,date."),
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Of a CSV, where it is not found right.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a CSV, where it is not UTF-8.")] = None,
    weight: Annotated[
        str | None,
        typer.Option(help="Column of the rows' weights: the shares decided are told by it."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where the model runs: auto, cpu, cuda, cuda:1 or mps.")
    ] = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Decide new rows with a fine-tuned model; no group is needed.

    evenhand predict runs/adult-seed0 new.csv -o scored.csv --columns id

    Each row of the data has its row in the output: a decision, a score, or the reason why it could
    not be read.
    """
    from evenhand.cli.terminal import bar, say
    from evenhand.finetuning.predict import predict as decide

    carried = [name.strip() for name in columns.split(",")] if columns else []
    with bar("rows", None, quiet) as progress:
        found = decide(
            run,
            data,
            output,
            columns=carried,
            delimiter=delimiter,
            encoding=encoding,
            weight=weight,
            device=device,
            on_rows=progress.update,
        )
    if json:
        from json import dumps

        typer.echo(dumps(found.to_dict(), indent=2, ensure_ascii=False))
        return
    if quiet:
        return
    unread = found.rows - found.decided
    say(f"{found.decided:,} of {found.rows:,} rows decided: {found.output}")
    if unread:
        say(f"{unread:,} could not be read: column reason says why")
    for sentence in found.drift.sentences():
        say(sentence)
    for note in found.notes:
        say(f"note: {note}")
    say(f"what was seen, against the run: {found.drift_file}")
