"""Reading a folder of transformers: silently, without its code, every failure by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from evenhand.errors import InputError

ENCODER = "0_Transformer"
"""Where a pooled encoder keeps its encoder and tokenizer."""


@dataclass(frozen=True)
class Brought:
    """What an adapter brings of a model beside its base.

    Attributes:
        names: of the tensors that take the place of the base's own.
        classes: how many classes its head tells apart; None: it brings no head.
    """

    names: frozenset[str]
    classes: int | None


NOTHING = Brought(frozenset(), None)


def encoder_folder(folder: str | Path) -> Path:
    """Where a folder keeps its encoder and tokenizer: in a folder of their own, or at the top."""
    own = Path(folder) / ENCODER
    return own if own.is_dir() else Path(folder)


MISMATCHED = ("ignore_mismatched_sizes", "size mismatch for")
"""What transformers says of weights that do not fit; older versions pass torch's words on."""


def safe_options(where: str) -> dict[str, Any]:
    """No code that a model brings is run, and a local folder asks nothing of the network."""
    return {"trust_remote_code": False, "local_files_only": Path(where).is_dir()}


def from_folder(auto: Any, where: str, options: dict[str, Any]) -> tuple[Any, list[str]]:
    """What a class of transformers reads from a folder, silently; every failure by name.

    Returns:
        The model, and the names of its parameters that the folder does not bring: random ones.

    Raises:
        InputError: transformers cannot read the folder.
    """
    try:
        with without_bars(), torch.random.fork_rng(devices=[]):
            model, info = auto.from_pretrained(
                where, output_loading_info=True, **safe_options(where), **options
            )
    except Exception as error:  # a damaged configuration may raise anything in the library
        if any(words in str(error) for words in MISMATCHED):
            raise InputError(
                f"the weights in {where} have other shapes than its config.json says: its number "
                "of labels (id2label), or a size, is another model's"
            ) from error
        raise InputError(f"{where} cannot be loaded: {reason(error)}") from error
    return model, sorted(info["missing_keys"])


def require_whole(where: str, missing: list[str]) -> None:
    """Refuse a model of which a part would be random.

    Raises:
        InputError: the message names the first such tensor.
    """
    if missing:
        raise InputError(
            f"the weights in {where} lack {len(missing)} tensors, such as {missing[0]!r}, which "
            "would be random: it is not the model that its config.json names"
        )


def without_pooler(missing: list[str]) -> list[str]:
    """Names of missing tensors but those of a pooler, which a mean over tokens does not read."""
    return [name for name in missing if "pooler" not in name.split(".")]


def reason(error: Exception) -> str:
    """The first line of what a library said, without the colours of a terminal; or its kind.

    Where that line ends with a colon, what it announces as well.
    """
    said = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    if not said:
        return type(error).__name__
    first = " ".join(line.strip() for line in said[: 2 if said[0].rstrip().endswith(":") else 1])
    return f"{first[:300]} ({type(error).__name__})" if isinstance(error, KeyError) else first[:300]


@contextmanager
def without_bars() -> Iterator[None]:
    """A block in which transformers, where it is installed, reports nothing."""
    if find_spec("transformers") is None:
        yield
        return
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
