"""Reading a file of weights, unpickling nothing: safetensors, or torch's weights-only load."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evenhand.errors import ArtefactError, InputError

NESTS = ("state_dict", "model_state_dict", "model", "net")


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The state dict in a file, and the file's own notes.

    Half-precision floats become float32 (a file stored small is still computed in full); a
    checkpoint's ``state_dict`` is taken out of its nest, DataParallel's ``module.`` cut off.

    Returns:
        Name to tensor, and the safetensors metadata ({} for other files).

    Raises:
        InputError: no such file.
        ArtefactError: the file is damaged, or holds Python objects, which are never unpickled.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no weights file at {path}")
    metadata: dict[str, str] = {}
    if path.suffix == ".safetensors":
        state, metadata = _safetensors(path)
    else:
        state = _torch_file(path)
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    halves = (torch.float16, torch.bfloat16)
    return {n: t.float() if t.dtype in halves else t for n, t in state.items()}, metadata


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return state, dict(file.metadata() or {})
    except SafetensorError as error:
        raise ArtefactError(f"{path} is not a whole safetensors file: {error}") from error


def _torch_file(path: Path) -> dict[str, Tensor]:
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtefactError(
            f"{path} is damaged or holds more than tensors, and is never unpickled: {first} "
            "Save model.state_dict() instead, best as safetensors"
        ) from error
    for nest in NESTS:
        if isinstance(loaded, dict) and isinstance(loaded.get(nest), dict):
            loaded = loaded[nest]
    if not isinstance(loaded, dict) or not loaded:
        raise ArtefactError(f"{path} holds a {type(loaded).__name__}, not a state dict")
    strange = [name for name, value in loaded.items() if not isinstance(value, Tensor)]
    if strange:
        raise ArtefactError(f"{path} holds more than tensors: {', '.join(map(str, strange[:3]))}")
    return loaded


def load_into(model: torch.nn.Module, state: dict[str, Tensor], *, head: str, source: str) -> bool:
    """Load ``state`` into ``model`` strictly, except that the head may be missing.

    Returns:
        Whether the file brought the head.

    Raises:
        ArtefactError: names missing, unexpected, or of another shape.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in state]
    body = [name for name in missing if not name.startswith(f"{head}.")]
    counters = [name for name in body if name.endswith("num_batches_tracked")]
    body = [name for name in body if name not in counters]
    extra = [name for name in state if name not in own]
    shapes = [name for name in own if name in state and own[name].shape != state[name].shape]
    problems = []
    if body:
        problems.append(f"{len(body)} tensors are missing, such as {body[0]}")
    if extra:
        problems.append(f"{len(extra)} are not the model's, such as {extra[0]}")
    for name in shapes[:1]:
        problems.append(f"{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}")
    if problems:
        kind = type(model).__name__
        raise ArtefactError(f"{source} does not hold the weights of {kind}: {'; '.join(problems)}")
    model.load_state_dict(state, strict=False)
    return not any(name.startswith(f"{head}.") for name in missing)
