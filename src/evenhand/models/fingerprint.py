"""What a model's features depend on, as one sha256: modules, settings and every weight."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_HEAD_SETTINGS = {"num_labels", "id2label", "label2id", "problem_type", "_name_or_path", "dtype"}
"""Settings of a transformers configuration that the features do not depend on."""


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
