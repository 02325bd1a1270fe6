"""A folder of a PEFT adapter with its base model: one whole model, the adapter merged into it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from evenhand.errors import InputError, MissingExtraError
from evenhand.models.backbone import Backbone
from evenhand.models.prepare import PrepareTexts
from evenhand.models.transformers_folder import Brought, reason

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""Before the names of the base's own tensors."""
HEADS = ("classifier", "score", "out_proj")
"""What the last layer of a classifier is called."""
MATRIX = 2


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no whole model."""
    try:
        return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()
    except (OSError, ValueError):
        return False


def load_adapter(
    folder: Path, *, head: str | None = None, max_length: int | None = None
) -> Backbone:
    """The base model with the adapter merged into it: a plain model of the base's class.

    Args:
        folder: of the adapter, as PEFT writes it; safetensors only.
        head: the head's path; found if None.
        max_length: tokens kept of a text.

    Raises:
        MissingExtraError: peft is not installed.
        InputError: no base model is named, or the adapter is damaged or not of that model.
    """
    from dataclasses import replace

    from evenhand.models.from_transformers import load_transformers, prepare_texts

    base = _base(folder)
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{folder} is a PEFT adapter of {base} and has no {WEIGHTS}: save it with "
            "safe_serialization=True, as pickled weights are not read, or merge it with its base "
            "(merge_and_unload) and save that"
        )
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("peft", "peft", f"the adapter in {folder}") from error
    shapes = _shapes(folder / WEIGHTS)
    beside = folder.parent / base
    where = beside if not Path(base).is_dir() and beside.is_dir() else base
    backbone = load_transformers(where, head=head, max_length=max_length, brought=_brought(shapes))
    wrapped: Any = backbone.model
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # refused below
            joined: Any = peft.PeftModel.from_pretrained(wrapped, str(folder), is_trainable=False)
    except Exception as error:  # a damaged adapter may raise anything in the library
        raise InputError(
            f"the adapter in {folder} does not go onto {base}: {reason(error)}"
        ) from error
    if joined.active_peft_config.is_prompt_learning:
        raise InputError(
            f"the adapter in {folder} puts prompts before the input "
            f"({joined.active_peft_config.peft_type.value}), which no weights of {base} can hold: "
            "train one that can be merged, such as LoRA"
        )
    own = set(peft.get_peft_model_state_dict(joined, save_embedding_layers=False))
    _require_same(set(shapes), own, set(joined.state_dict()), folder)
    try:
        merged = joined.merge_and_unload(safe_merge=True)
    except Exception as error:  # what cannot be merged is the library's to say
        raise InputError(f"the adapter in {folder} cannot be merged: {reason(error)}") from error
    made = replace(backbone, model=merged.eval(), name=folder.name)
    if (folder / "tokenizer_config.json").is_file() and isinstance(made.prepare, PrepareTexts):
        made = replace(made, prepare=prepare_texts(folder, made.model, made.prepare.max_length))
    return made


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The tensors of a file, by name, none of them read."""
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # a damaged file may raise anything in the library
        raise InputError(f"{path} is damaged: {reason(error)}") from error


def _brought(shapes: dict[str, tuple[int, ...]]) -> Brought:
    """The tensors of an adapter that are whole, and the classes of a head among them."""
    names = {name.removeprefix(PREFIX): shape for name, shape in shapes.items()}
    heads = [
        shape[0]
        for name, shape in names.items()
        if len(shape) == MATRIX
        and name.split(".")[-2:-1]
        and name.split(".")[-2] in HEADS
        and name.endswith(".weight")
    ]
    return Brought(frozenset(names), heads[-1] if heads else None)


def _require_same(found: set[str], own: set[str], model: set[str], folder: Path) -> None:
    """Refuse an adapter whose tensors are not those of its configuration.

    The library leaves out what it does not know, and starts what is not there from nothing.

    Raises:
        InputError: the first such tensor is named.
    """
    missing, unknown = sorted(own - found), sorted(found - own - model)
    if missing or unknown:
        what = "lacks tensors that" if missing else "holds tensors that nothing in"
        example = (missing or unknown)[0].removeprefix(PREFIX)
        raise InputError(
            f"{folder / WEIGHTS} {what} {CONFIG} asks for, such as {example!r}: the two are not of "
            "one adapter, or one is damaged"
        )


def _base(folder: Path) -> str:
    try:
        stated = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        base = stated.get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{folder / CONFIG} is damaged: {error}") from error
    if not isinstance(base, str) or not base:
        raise InputError(
            f"{folder} is a PEFT adapter of a model that it does not name ({CONFIG} names no base "
            "model): write its folder or hub name there as base_model_name_or_path, or merge the "
            "adapter with it (merge_and_unload) and save that"
        )
    return base
