"""What a model's features depend on, as one sha256: modules, settings and every weight."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_HEAD_SETTINGS = {"num_labels", "id2label", "label2id", "problem_type", "_name_or_path", "dtype"}
"""Settings of a transformers configuration that the features do not depend on."""


_LIBRARIES = (
    *("torch", "torchvision", "timm", "transformers", "sentence_transformers", "peft"),
    *("torchao", "evenhand"),
)
_PLAIN = (bool, float, complex, str, Tensor, np.ndarray, np.generic, torch.dtype)


def body_digest(model: nn.Module, head: str, preparation: str) -> str:
    """sha256 of all of ``model`` but its head, and of how its inputs are prepared.

    Args:
        model: any module; its weights may be packed, quantised or of a tensor class of their own.
        head: the path of its head, which is left out.
        preparation: of the inputs, in words.
    """
    digest = hashlib.sha256()
    prefix = f"{head}."
    for path, module in model.named_modules():
        if path != head and not path.startswith(prefix):
            kind = f"{type(module).__module__}.{type(module).__qualname__}"
            digest.update(f"{path}|{kind}|{module.extra_repr()}\n".encode())
            for name, value in sorted(_settings(module).items()):
                digest.update(f"{name}|".encode())
                _add(digest, value)
    config: Any = getattr(model, "config", None)
    if hasattr(config, "to_diff_dict"):
        kept = {k: v for k, v in config.to_diff_dict().items() if k not in _HEAD_SETTINGS}
        digest.update(repr(sorted(kept.items())).encode())
    held: dict[str, Any] = {**dict(model.named_buffers()), **model.state_dict()}
    for name, value in sorted(held.items()):
        if not name.startswith(prefix):
            digest.update(f"{name}|".encode())
            _add(digest, value)
    digest.update(preparation.encode())
    return digest.hexdigest()


def _settings(module: nn.Module) -> dict[str, Any]:
    """The plain values that a module of somebody's own keeps beside its weights: a scale, a mean.

    Those of libraries are in their ``extra_repr``, buffers or configuration. Whole numbers are left
    out: many of them count what has been run, which changes no feature.
    """
    if type(module).__module__.partition(".")[0] in _LIBRARIES:
        return {}
    return {
        name: value
        for name, value in vars(module).items()
        if name[:1] != "_" and name != "training" and _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_plain(one) for name, one in value.items())
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    if isinstance(value, np.ndarray):
        return not value.dtype.hasobject
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return False
    return value is None or isinstance(value, _PLAIN)


def _add(digest: Any, value: Any) -> None:
    """Add a value of a state dict: a tensor of any class, a container of them, or plain data."""
    if isinstance(value, Tensor):
        _add_tensor(digest, value.detach())
    elif isinstance(value, Mapping):
        for name in sorted(value, key=str):
            digest.update(f"{name}|".encode())
            _add(digest, value[name])
    elif isinstance(value, (tuple, list)):
        digest.update(f"{len(value)} values\n".encode())
        for part in value:
            _add(digest, part)
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}|{value.shape}\n".encode())
        digest.update(
            np.ascontiguousarray(value).tobytes() if value.dtype != object else b"objects"
        )
    elif value is None or isinstance(value, (bool, int, float, str, torch.dtype)):
        digest.update(f"{value!r}\n".encode())
    else:
        digest.update(pickle.dumps(value))


def _add_tensor(digest: Any, tensor: Tensor) -> None:
    digest.update(f"{tensor.dtype}|{tuple(tensor.shape)}\n".encode())
    if hasattr(tensor, "__tensor_flatten__"):  # packed by a tensor class, as torchao does
        names, settings = tensor.__tensor_flatten__()
        digest.update(repr(settings).encode())
        for name in names:
            _add(digest, getattr(tensor, name))
        return
    if tensor.is_quantized:
        by_channel = tensor.qscheme() in (
            torch.per_channel_affine,
            torch.per_channel_affine_float_qparams,
        )
        if by_channel:
            _add(digest, [tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()])
        else:
            _add(digest, [tensor.q_scale(), tensor.q_zero_point()])
        tensor = tensor.int_repr()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    values = tensor.cpu().contiguous().flatten()
    digest.update(values.view(torch.uint8).numpy().tobytes())
