"""``evenhand cache list`` and ``evenhand cache clear``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.once import OnceCommand
from evenhand.cli.terminal import say

ROOT = typer.Option("--cache", help="The cache folder; default: $EVENHAND_CACHE or the platform's.")


app = typer.Typer(
    help="The cached features of frozen models, and pre-trained networks.", no_args_is_help=True
)


@app.command("list", cls=OnceCommand)
def list_entries(root: Annotated[Path | None, ROOT] = None) -> None:
    """List the cached features: name, rows, size, and what they come from."""
    from evenhand._base.cache_folder import cache_root
    from evenhand.errors import ArtefactError
    from evenhand.models.features.cache import entries, name_of, networks
    from evenhand.models.features.store import Store

    found, kept = entries(root), networks(root)
    if not found and not kept:
        say(f"no cached features in {root or cache_root()}")
    for folder in found:
        try:
            store = Store.read(folder)
        except ArtefactError as error:
            say(f"{folder.name}  damaged, or cleared in part: {error}")
            continue
        origin = store.origin
        done = sum(shard.stop - shard.start for shard in store.shards.values())
        part = "" if done == origin.rows else f" of {origin.rows}, incomplete"
        bad = f", {len(store.unreadable)} unreadable" if store.unreadable else ""
        say(
            f"{folder.name}  {done}{part} rows × {origin.width} {origin.dtype}{bad}, "
            f"{store.bytes / 1e6:.1f} MB, {origin.inputs} through {origin.model}"
        )
    for folder in kept:
        size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        say(f"{name_of(folder)}  a pre-trained network, {size / 1e6:.1f} MB")


@app.command("clear", cls=OnceCommand)
def clear_entries(
    names: Annotated[list[str] | None, typer.Argument(help="Names that `list` shows.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Clear everything.")] = False,
    root: Annotated[Path | None, ROOT] = None,
) -> None:
    """Delete cached features by name, or all of them."""
    from evenhand.errors import EvenhandError, InputError
    from evenhand.models.features.cache import clear, entries, name_of, networks

    if not names and not every:
        raise InputError("name what to clear (evenhand cache list shows it), or --all")
    there = (*entries(root), *networks(root)) if every else ()
    chosen = [name_of(folder) for folder in there] if every else list(names or ())
    freed, refused = [], []
    for name in chosen:
        try:
            freed.append(clear(name, root))
        except EvenhandError as error:
            refused.append(str(error))
    say(f"cleared {len(freed)}, {sum(freed) / 1e6:.1f} MB")
    if refused:
        raise InputError("; ".join(refused))
