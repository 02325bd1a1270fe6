"""``evenhand cache list`` and ``evenhand cache clear``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli.terminal import say

ROOT = typer.Option("--cache", help="The cache folder; default: $EVENHAND_CACHE or the platform's.")


app = typer.Typer(help="The cached features of frozen models.", no_args_is_help=True)


@app.command("list")
def list_entries(root: Annotated[Path | None, ROOT] = None) -> None:
    """List the cached features: name, rows, size, and what they come from."""
    from evenhand.errors import ArtefactError
    from evenhand.models.features.cache import entries
    from evenhand.models.features.cache_folder import cache_root
    from evenhand.models.features.store import Store

    found = entries(root)
    if not found:
        say(f"no cached features in {root or cache_root()}")
    for folder in found:
        try:
            store = Store.read(folder)
        except ArtefactError as error:
            say(f"{folder.name}  damaged: {error}")
            continue
        origin = store.origin
        done = sum(shard.stop - shard.start for shard in store.shards.values())
        part = "" if done == origin.rows else f" of {origin.rows}, incomplete"
        bad = f", {len(store.unreadable)} unreadable" if store.unreadable else ""
        say(
            f"{folder.name}  {done}{part} rows × {origin.width} {origin.dtype}{bad}, "
            f"{store.bytes / 1e6:.1f} MB, {origin.inputs} through {origin.model}"
        )


@app.command("clear")
def clear_entries(
    names: Annotated[list[str] | None, typer.Argument(help="Names that `list` shows.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Clear everything.")] = False,
    root: Annotated[Path | None, ROOT] = None,
) -> None:
    """Delete cached features by name, or all of them."""
    from evenhand.errors import InputError
    from evenhand.models.features.cache import clear, entries

    if not names and not every:
        raise InputError("name the cached features to clear (evenhand cache list), or --all")
    chosen = [folder.name for folder in entries(root)] if every else list(names or ())
    freed = sum(clear(name, root) for name in chosen)
    say(f"cleared {len(chosen)}, {freed / 1e6:.1f} MB")
