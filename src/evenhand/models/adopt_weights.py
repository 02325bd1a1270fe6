"""A file's weights into a model whose head they may replace."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from evenhand.errors import ModelError
from evenhand.models.backbone import fresh_head, set_module
from evenhand.models.weights import load_into, with_names_of


def adopt(model: nn.Module, state: dict[str, torch.Tensor], head: str, source: str) -> bool:
    """Load ``state``; a head of another number of classes in it becomes the model's.

    Returns:
        Whether the file brought the head.

    Raises:
        ArtefactError: the file holds the weights of another model.
        ModelError: its head reads another number of features.
    """  # noqa: DOC502
    state = with_names_of(model.state_dict().keys(), state, source)
    stored = state.get(f"{head}.weight")
    old: Any = model.get_submodule(head)
    if stored is not None and stored.shape != old.weight.shape:
        if stored.shape[1:] != old.weight.shape[1:]:
            raise ModelError(
                f"the head {head!r} in {source} reads {stored.shape[1]} features, "
                f"{type(model).__name__} gives {old.weight.shape[1]}"
            )
        set_module(model, head, fresh_head(old, len(stored)))
    brought = load_into(model, state, head=head, source=source)
    if not brought:
        set_module(model, head, fresh_head(old, 2))
    return brought
