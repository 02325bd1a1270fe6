"""Saving a model so that it loads with its own library, and loading it again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evenhand.artefacts import write_atomically
from evenhand.errors import ArtefactError, InputError, ModelError

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
SEAL = "evenhand.json"


def save(
    model: nn.Module,
    folder: str | Path,
    *,
    about: dict[str, Any] | None = None,
    processor: Any = None,
) -> Path:
    """Write a model as safetensors with its configuration; nothing is pickled.

    A transformers model is written by its own ``save_pretrained``; an evenhand MLP with its
    configuration; any other module as a state dict, to be loaded into a module of its class.
    ``evenhand.json`` beside it holds the sha256 of the weights and what ``about`` says.

    Args:
        model: dense; merge low-rank layers first.
        folder: made where it is not there.
        about: plain values to keep: classes, where the model comes from.
        processor: the tokenizer or image processor of a transformers model, saved along with it so
            that its own library reads raw inputs again; None saves none.
    """
    from safetensors.torch import save as to_bytes

    from evenhand.models.mlp import MLP

    folder = Path(folder)
    kind = "torch"
    if hasattr(model, "save_pretrained"):
        kind = "transformers"
        folder.mkdir(parents=True, exist_ok=True)
        own: Any = model
        own.save_pretrained(folder)
        if processor is not None:
            processor.save_pretrained(folder)
        packed = (folder / WEIGHTS).read_bytes()
    else:
        tensors: dict[str, torch.Tensor] = model.state_dict()
        state = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        packed = to_bytes(state)
        write_atomically(folder / WEIGHTS, packed)
        if isinstance(model, MLP):
            kind = "mlp"
            write_atomically(folder / CONFIG, json.dumps(model.config, indent=2) + "\n")
    seal = {
        "format": 1,
        "kind": kind,
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "sha256": hashlib.sha256(packed).hexdigest(),
        **(about or {}),
    }
    write_atomically(folder / SEAL, json.dumps(seal, indent=2, ensure_ascii=False) + "\n")
    return folder


def load(folder: str | Path, into: nn.Module | None = None) -> nn.Module:
    """Load what :func:`save` wrote; it reads no group and needs none.

    Args:
        folder: the ``model`` folder of a run.
        into: a module of the same class, for models that are neither an evenhand MLP nor of
            transformers; its numbers are replaced in place.

    Raises:
        InputError: no such folder, or ``into`` is needed and missing.
        ArtefactError: the weights are not those that were sealed.
        ModelError: ``into`` has other parameters.
    """
    from safetensors.torch import load as from_bytes

    folder = Path(folder)
    if not (folder / SEAL).is_file() or not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder} holds no saved model: {SEAL} and {WEIGHTS} should be in it")
    try:
        seal = json.loads((folder / SEAL).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtefactError(f"{folder / SEAL} is damaged: {error}") from error
    if not isinstance(seal, dict):
        raise ArtefactError(f"{folder / SEAL} is damaged: it holds no names with values")
    packed = (folder / WEIGHTS).read_bytes()
    found = hashlib.sha256(packed).hexdigest()
    if found != seal.get("sha256"):
        raise ArtefactError(
            f"{folder / WEIGHTS} is damaged or was changed: sha256 {found[:12]}…, "
            f"sealed as {str(seal.get('sha256'))[:12]}…; run the fine-tuning again"
        )
    kind = seal.get("kind")
    if into is None and kind == "transformers":
        return _from_transformers(folder, str(seal.get("class")))
    if into is None and kind == "mlp":
        into = _mlp(folder)
    if into is None:
        raise InputError(
            f"the model in {folder} is a {seal.get('class')}: give a module of that class as `into`"
        )
    try:
        into.load_state_dict(from_bytes(packed))
    except RuntimeError as error:
        raise ModelError(f"{type(into).__name__} does not fit {folder}: {error}") from error
    return into.eval()


def _mlp(folder: Path) -> nn.Module:
    from evenhand.models.mlp import MLP

    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        with torch.random.fork_rng(devices=[]):
            return MLP(
                int(config["inputs"]),
                int(config["classes"]),
                layers=int(config["layers"]),
                hidden=int(config["hidden"]),
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{folder / CONFIG} is damaged: {error}") from error


def _from_transformers(folder: Path, name: str) -> nn.Module:
    import transformers

    if name.endswith(".PooledEncoder"):
        from evenhand.models.text import PooledEncoder

        return PooledEncoder.from_pretrained(folder)
    cls = getattr(transformers, name.rpartition(".")[2], None)
    if cls is None:
        raise InputError(f"transformers has no {name}: give a module of that class as `into`")
    model: nn.Module = cls.from_pretrained(folder)
    return model.eval()
