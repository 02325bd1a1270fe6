"""Low-rank layers of a Trainer's model: their factors, kept beside merged weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from evenhand.fisher.lowrank import LowRankLinear

FACTORS = "evenhand_lowrank.safetensors"
"""Beside the merged weights of a checkpoint: the low-rank factors, to resume from."""


def low_rank_paths(model: torch.nn.Module) -> list[str]:
    """Where the low-rank layers of ``model`` are."""
    return [name for name, module in model.named_modules() if isinstance(module, LowRankLinear)]


def low_rank_tensors(model: torch.nn.Module) -> dict[str, Tensor]:
    """The tensors of the low-rank layers of a transformers model, by name."""
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        return {}
    prefixes = tuple(f"{path}." for path in low_rank_paths(model))
    return {
        name: value.detach().cpu().contiguous().clone()
        for name, value in model.state_dict().items()
        if prefixes and name.startswith(prefixes)
    }


def read_factors(model: torch.nn.Module, folder: str | None) -> None:
    """Put the factors beside a checkpoint, where there are any, into ``model``."""
    from safetensors.torch import load

    path = Path(folder or "") / FACTORS
    if folder and path.is_file() and low_rank_paths(model):
        model.load_state_dict(load(path.read_bytes()), strict=False)
