"""Reading a file of weights, unpickling nothing: safetensors, or torch's weights-only load."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evenhand._base.text import listed, visible
from evenhand.errors import ArtefactError, InputError

NESTS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "weights",
    "state_dict_ema",
    "ema_state_dict",
    "model_ema",
    "ema",
)
"""Where checkpoints keep a state dict; the trained weights come before their running means."""


_COMPILED = re.compile(r"(^|\.)_orig_mod\.")
"""What torch.compile puts before the names of a module."""


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The state dict in a file, and the file's own notes.

    Half-precision floats become float32 (a file stored small is still computed in full); a
    checkpoint's state dict is taken out of its nests (:data:`NESTS`); what torch.compile,
    DataParallel and AveragedModel add to names is cut off.

    Returns:
        Name to tensor, and the safetensors metadata ({} for other files).

    Raises:
        InputError: no such file.
        ArtefactError: the file is damaged, or holds Python objects, which are never unpickled.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no weights file at {path}")
    _refuse_other_files(path)
    metadata: dict[str, str] = {}
    if path.suffix == ".safetensors" or _looks_like_safetensors(path):
        state, metadata = _safetensors(path)
    else:
        state = _torch_file(path)
    state = {_COMPILED.sub(r"\1", name): tensor for name, tensor in state.items()}
    state.pop("n_averaged", None)
    while state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            kind = "without data" if tensor.is_meta else "packed (sparse or quantised)"
            raise ArtefactError(
                f"{path} holds {visible(name)} {kind}: save plain tensors, the state_dict() of the "
                "model before it was quantised or emptied"
            )
    halves = (torch.float16, torch.bfloat16)
    return {n: t.float() if t.dtype in halves else t for n, t in state.items()}, metadata


OTHERS = (
    (b"version https://git-lfs", "a pointer of Git LFS and not the file itself: git lfs pull"),
    (b"<", "a web page, perhaps the answer to a failed download: download it again"),
    (b"{", "JSON, and no file of weights"),
)
"""How files begin that stand in the place of weights, and what each is."""


def _refuse_other_files(path: Path) -> None:
    """Refuse what is plainly something else, before a reader of weights guesses at it."""
    with path.open("rb") as file:
        start = file.read(64)
    for begins, what in OTHERS:
        if start.lstrip().startswith(begins) and b"\0" not in start:
            raise ArtefactError(f"{path} is {what}")


def _looks_like_safetensors(path: Path) -> bool:
    """Whether a file begins with a length and a JSON header, whatever it is called."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") < 2**30


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return state, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtefactError(f"{path} is not a whole safetensors file: {error}") from error


def _torch_file(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript and old pickles: refused below
            loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise ArtefactError(_why_unread(path, str(error))) from error
    except Exception as error:  # a damaged pickle may raise anything while it is read
        raise ArtefactError(
            f"{path} is damaged: it is no file of weights ({type(error).__name__})"
        ) from error
    while isinstance(loaded, dict):
        nest = next((name for name in NESTS if isinstance(loaded.get(name), dict)), None)
        if nest is None:
            break
        loaded = loaded[nest]
    if not isinstance(loaded, dict) or not loaded:
        raise ArtefactError(f"{path} holds a {type(loaded).__name__}, not a state dict")
    strange = [name for name, value in loaded.items() if not isinstance(value, Tensor)]
    if strange:
        raise ArtefactError(
            f"{path} holds more than tensors: {listed([visible(n) for n in strange], 3)}; "
            "save model.state_dict() alone, best as safetensors"
        )
    return {str(name): tensor for name, tensor in loaded.items()}


def _why_unread(path: Path, message: str) -> str:
    """Our own words: torch's advise to unpickle what may run code, in colours of a terminal."""
    if "Unsupported" in message or "TorchScript" in message or "weights_only" in message:
        return (
            f"{path} holds Python objects, such as a whole model, and not only tensors: such a "
            "file can run code when it is opened, so it is never unpickled. Ask who made it for "
            "model.state_dict() alone, best as safetensors"
        )
    return (
        f"{path} is damaged, or is no file of weights: it is neither safetensors nor torch.save's"
    )


def with_names_of(own: Collection[str], state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """``state`` under the model's own names: what a trainer's wrapper put before them is cut off.

    Of all beginnings of names (``model.``, ``net.encoder.``, …) the one is taken after which most
    of the model's own names follow. Where it brings them all, what lies beside it (a loss, a
    metric) is left out.

    Args:
        own: the model's names.
        state: what the file holds.
        source: the file, for errors.

    Raises:
        ArtefactError: two beginnings fit alike, as of a student and its teacher.
    """
    fits: Counter[str] = Counter()
    for name in state:
        parts = name.split(".")
        for depth in range(len(parts)):
            if ".".join(parts[depth:]) in own:
                fits["".join(f"{part}." for part in parts[:depth])] += 1
    if not fits:
        return state
    most = max(fits.values())
    best = [prefix for prefix, count in fits.items() if count == most]
    if "" in best:
        return state
    if len(best) > 1:
        raise ArtefactError(
            f"{source} holds the weights of {len(best)} models, "
            f"{listed([visible(prefix) for prefix in sorted(best)])}: "
            "save the state dict of one"
        )
    (prefix,) = best
    inside = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    outside = {n: t for n, t in state.items() if not n.startswith(prefix)}
    return inside if most == len(own) else inside | outside


def load_into(model: torch.nn.Module, state: dict[str, Tensor], *, head: str, source: str) -> bool:
    """Load ``state`` into ``model`` strictly, except that the head may be missing.

    Returns:
        Whether the file brought the head.

    Raises:
        ArtefactError: names missing, unexpected, or of another shape or kind of number.
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
        problems.append(f"{len(extra)} are not the model's, such as {visible(extra[0])}")
    for name in shapes[:1]:
        problems.append(f"{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}")
    floats = [name for name in own if name in state and own[name].is_floating_point()]
    for name in [name for name in floats if not state[name].is_floating_point()][:1]:
        problems.append(f"{name} holds {str(state[name].dtype).removeprefix('torch.')}, not floats")
    if problems:
        kind = type(model).__name__
        raise ArtefactError(f"{source} does not hold the weights of {kind}: {'; '.join(problems)}")
    model.load_state_dict(state, strict=False)
    return not any(name.startswith(f"{head}.") for name in missing)
