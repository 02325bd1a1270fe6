"""config.yaml, what was asked of a run: its paths mean the same from every folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evenhand._base.files import write_atomically
from evenhand._base.seals import write_sums
from evenhand.errors import ArtefactError, InputError

CONFIG = "config.yaml"


DATA = ("data", "file")
PATHS = (*DATA, "weights", "model", "from_run", "about", "against")
"""Keys that may hold a path. One that was given relative is kept relative to the run's folder, as
those of a task file are, so that the run and its data can move together."""


LARGEST = 1_000_000


FORMAT = 1
"""Of config.yaml and the folder around it. A change that makes older ones mean something else
raises it, so that they are refused by name."""


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Keep what was asked in config.yaml, with the folder's format."""
    import yaml

    kept = {"format": FORMAT} | {key: _from(folder, key, value) for key, value in config.items()}
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
    write_atomically(folder / CONFIG, text)


def write_asked(folder: Path, config: Mapping[str, Any], names: list[str]) -> None:
    """Keep what was asked in config.yaml, and then the sums of it and of the files ``names``."""
    write_config(folder, config)
    write_sums(folder, [CONFIG, *names])


def read_asked(folder: Path) -> dict[str, Any]:
    """What :func:`write_config` kept, its paths as they are found from here.

    Raises:
        InputError: there is none, or it is of another format.
        ArtefactError: it is damaged.
    """
    import yaml

    path = folder / CONFIG
    try:
        if path.stat().st_size > LARGEST:
            raise ArtefactError(f"{path} is damaged: it has {path.stat().st_size:,} bytes")
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder} holds no run: it has no {CONFIG}") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ArtefactError(f"{path} is damaged: {error}") from error
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise ArtefactError(f"{path} is damaged: it does not hold names with values")
    found = config.pop("format", None)
    if found != FORMAT:
        of = "without a format" if found is None else f"of format {str(found)[:20]!r}"
        raise InputError(
            f"{path} is {of}, and this evenhand reads format {FORMAT}: another version wrote it; "
            "run the task again, into a new folder"
        )
    return {key: _to(folder, key, value) for key, value in config.items()}


def _from(folder: Path, key: str, value: Any) -> Any:
    if key not in PATHS or not isinstance(value, str) or Path(value).is_absolute():
        return value
    there = Path(value).exists() or (key in DATA and "://" not in value)  # shards-{0000..0146}.tar
    return os.path.relpath(value, folder) if there else value


def _to(folder: Path, key: str, value: Any) -> Any:
    if key not in PATHS or not isinstance(value, str) or "\0" in value or "://" in value:
        return value
    # What is no path, such as the name of a model, stays as it is; data are always at a path.
    there = folder / value
    return str(there) if there.exists() or key in DATA else value
