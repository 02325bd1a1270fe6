"""Saving a model so that it loads with its own library, and loading it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evenhand._base.files import replaced_folder, write_atomically
from evenhand._base.paths import path_of
from evenhand._base.seals import file_digest, sealed, unsealed
from evenhand.errors import ArtefactError, InputError, ModelError
from evenhand.models.deep_readout import DeepReadout

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
SEAL = "evenhand.json"


CARD = "README.md"


DEEP, INNER, READOUT_FILE = "deep", "backbone", "readout.safetensors"
"""The kind of a deep readout, the folder of the model it reads, and the file of its own layer."""


WEIGHTY = (".safetensors", ".index.json", ".bin", ".pt", ".pth")
"""Endings of files that a library may load in place of the model, or on top of it."""


def save(
    model: nn.Module,
    folder: str | Path,
    *,
    about: dict[str, Any] | None = None,
    processor: Any = None,
    more: Mapping[str, str] | None = None,
) -> Path:
    """Write a model as safetensors with its configuration; nothing is pickled.

    A transformers model is written by its own ``save_pretrained``; an evenhand MLP with its
    configuration; any other module as a state dict, to be loaded into a module of its class. A
    :class:`DeepReadout` is written as its linear layer and, in a folder of its own, the model that
    it reads: no library shall take that, with its old head, for the fine-tuned one.
    ``evenhand.json`` beside it holds the sha256 of every file there, of itself, and what ``about``
    says. The folder takes the place of an older one whole; what lay in that and was not of its
    model is carried over.

    Args:
        model: dense; merge low-rank layers first.
        folder: made where it is not there.
        about: plain values to keep: classes, where the model comes from.
        processor: the tokenizer or image processor of a transformers model, saved along with it so
            that its own library reads raw inputs again; None saves none.
        more: further files by name, sealed with the others.
    """
    folder = path_of(folder, "the folder of a model")
    with replaced_folder(folder, dropped=_old_names(folder)) as new:
        kind, deep = DEEP, {}
        if isinstance(model, DeepReadout):
            deep = {"deep": {**model.plain(), **_read_model(model)}}
            numbers = {**model.readout.state_dict(), "centre": model.centre, "scale": model.scale}
            write_atomically(new / READOUT_FILE, _packed(numbers))
            deep["deep"]["kind"] = _write(model.model, new / INNER, processor)
        else:
            kind = _write(model, new, processor)
        for name, content in (more or {}).items():
            write_atomically(new / name, content)
        sums = {file.relative_to(new).as_posix(): file_digest(file) for file in _giving(new)}
        seal = {
            "format": 3,
            "kind": kind,
            "class": f"{type(model).__module__}.{type(model).__qualname__}",
            "sha256": sums,
            **deep,
            **(about or {}),
        }
        write_atomically(new / SEAL, sealed(seal, indent=2) + "\n")
    return folder


def _old_names(folder: Path) -> set[str]:
    """What an older model's own files and folders are called."""
    try:
        sums = unsealed((folder / SEAL).read_bytes()).get("sha256")
    except (OSError, ValueError):
        return set()
    return {str(name).partition("/")[0] for name in sums} if isinstance(sums, dict) else set()


def _write(model: nn.Module, folder: Path, processor: Any) -> str:
    """Write a model's own files, and say of what kind it is."""
    from evenhand.models.mlp import MLP

    if hasattr(model, "save_pretrained"):
        from evenhand.models.transformers_folder import encoder_folder, without_bars

        own: Any = model
        with without_bars():
            own.save_pretrained(folder)
        if processor is not None:
            processor.save_pretrained(encoder_folder(folder))
        return "transformers"
    folder.mkdir(exist_ok=True)
    write_atomically(folder / WEIGHTS, _packed(model.state_dict()))
    if isinstance(model, MLP):
        write_atomically(folder / CONFIG, json.dumps(model.config, indent=2) + "\n")
        return "mlp"
    return "torch"


def _read_model(model: DeepReadout) -> dict[str, Any]:
    """What the model that is read must look like to be made again."""
    head: Any = model.model.get_submodule(model.own.path)
    inner = type(model.model)
    return {
        "class": f"{inner.__module__}.{inner.__qualname__}",
        "own_classes": len(head.weight),
    }


def _packed(state: Mapping[str, torch.Tensor]) -> bytes:
    from safetensors.torch import save as to_bytes

    return to_bytes(
        {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    )


def _giving(folder: Path) -> list[Path]:
    """The files that make the model: all but the seal, and the card, which people edit."""
    own = (folder / SEAL, folder / CARD)
    return sorted(file for file in folder.rglob("*") if file.is_file() and file not in own)


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
    """  # noqa: DOC502
    folder = path_of(folder, "the folder of a model")
    seal = read_seal(folder)
    if seal.get("kind") == DEEP:
        return _deep(folder, seal, into)
    head, classes = str(seal.get("head")), len(seal.get("classes") or ())
    return _read(folder, seal | {"head": head, "of": classes}, into)


def inner_folder(folder: Path, model: nn.Module) -> tuple[Path, nn.Module]:
    """Where a saved model's own library finds it, and that model: what a deep readout reads."""
    return (folder / INNER, model.model) if isinstance(model, DeepReadout) else (folder, model)


def _deep(folder: Path, seal: dict[str, Any], into: nn.Module | None) -> nn.Module:
    from safetensors.torch import load as from_bytes

    about = dict(seal["deep"])
    inner = into.model if isinstance(into, DeepReadout) else into
    of_inner = {
        "kind": about["kind"],
        "class": about["class"],
        "source": seal.get("source"),
        "head": about["own"]["path"],
        "of": int(about["own_classes"]),
    }
    model = DeepReadout.around(_read(folder / INNER, of_inner, inner), about)
    numbers = from_bytes((folder / READOUT_FILE).read_bytes())
    model.centre.copy_(numbers.pop("centre"))
    model.scale.copy_(numbers.pop("scale"))
    model.readout.load_state_dict(numbers)
    return model.eval()


def _read(folder: Path, seal: dict[str, Any], into: nn.Module | None) -> nn.Module:
    """The model whose own files are in ``folder``, by what a seal says of it."""
    from safetensors.torch import load as from_bytes

    kind = seal.get("kind")
    if into is None and kind == "transformers":
        return _from_transformers(folder, str(seal.get("class")))
    if into is None and kind == "mlp":
        into = _mlp(folder)
    if into is None and seal.get("source"):
        from evenhand.models.from_torchvision import empty_model

        into = empty_model(dict(seal["source"]), str(seal["head"]), int(seal["of"]))
    if into is None:
        raise InputError(
            f"the model in {folder} is a {seal.get('class')}: give a module of that class as `into`"
        )
    try:
        into.load_state_dict(from_bytes((folder / WEIGHTS).read_bytes()))
    except RuntimeError as error:
        raise ModelError(f"{type(into).__name__} does not fit {folder}: {error}") from error
    return into.eval()


def read_seal(folder: Path) -> dict[str, Any]:
    """What ``evenhand.json`` says of a model's folder, every file there as it was sealed.

    Raises:
        InputError: no saved model.
        ArtefactError: a file is damaged, was changed or is missing; it is named.
    """
    if not (folder / SEAL).is_file() or not any(folder.rglob("*.safetensors")):
        raise InputError(f"{folder} holds no saved model: {SEAL} and {WEIGHTS} should be in it")
    try:
        seal = unsealed((folder / SEAL).read_bytes())
    except ValueError as error:
        raise ArtefactError(
            f"{folder / SEAL} is damaged or was changed: {error}; run the fine-tuning again"
        ) from error
    _check(folder, seal.get("sha256"))
    return seal


def _check(folder: Path, sums: Any) -> None:
    """Compare every file that gives the model with its sha256."""
    if not isinstance(sums, dict) or not any(name.endswith(".safetensors") for name in sums):
        raise ArtefactError(f"{folder / SEAL} is damaged: it names no sha256 of {WEIGHTS}")
    there = {file.relative_to(folder).as_posix() for file in _giving(folder)}
    for name, stated in sums.items():
        path = folder / str(name)
        found = file_digest(path) if name in there else None
        if found == stated:
            continue
        how = f"sha256 {found[:12]}…, sealed as {str(stated)[:12]}…" if found else "it is missing"
        raise ArtefactError(f"{path} is damaged or was changed: {how}; run the fine-tuning again")
    for name in sorted(there - set(sums)):
        if name.startswith("adapter_") or name.endswith(WEIGHTY):
            raise ArtefactError(
                f"{folder / name} is no part of the model that was saved, and may change what is "
                "loaded: remove it"
            )


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
        from evenhand.models.pooled_encoder import PooledEncoder

        return PooledEncoder.from_pretrained(folder)
    cls = getattr(transformers, name.rpartition(".")[2], None)
    if not isinstance(cls, type) or not issubclass(cls, transformers.PreTrainedModel):
        raise InputError(f"transformers has no {name}: give a module of that class as `into`")
    loader: Any = cls
    model: nn.Module = loader.from_pretrained(folder, use_safetensors=True)
    return model.eval()
