"""A folder of a PEFT adapter with its base model: one whole model, the adapter merged into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evenhand.errors import InputError, MissingExtraError
from evenhand.models.backbone import Backbone
from evenhand.models.transformers_folder import reason

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


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

    from evenhand.models.from_transformers import load_transformers

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
    beside = folder.parent / base
    where = beside if not Path(base).is_dir() and beside.is_dir() else base
    backbone = load_transformers(where, head=head, max_length=max_length)
    wrapped: Any = backbone.model
    try:
        joined: Any = peft.PeftModel.from_pretrained(wrapped, str(folder), is_trainable=False)
        merged = joined.merge_and_unload(safe_merge=True)
    except Exception as error:  # a damaged adapter may raise anything in the library
        raise InputError(
            f"the adapter in {folder} does not go onto {base}: {reason(error)}"
        ) from error
    return replace(backbone, model=merged.eval(), name=folder.name)


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
