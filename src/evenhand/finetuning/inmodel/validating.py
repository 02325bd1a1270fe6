"""A look at a model while it trains: whole, in eval mode, on rows of the caller's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real

import numpy as np
import torch
from torch import nn

from evenhand._base.torch_calls import evaluating
from evenhand.errors import InputError
from evenhand.finetuning.inmodel.frozen import Feed

Validate = Callable[[nn.Module, int], Mapping[str, float] | None]
"""Called with the model and the number of the epoch that is done, from 1; gives numbers by name."""


def validated(
    validate: Validate | None, model: nn.Module, feed: Feed, epoch: int
) -> dict[str, float]:
    """What ``validate`` says of the model as it is; nothing where there is none.

    Args:
        validate: the caller's.
        model: in training, perhaps fed below a cut; it runs whole here.
        feed: what is handed on below the cut.
        epoch: how many are done.

    Raises:
        InputError: it gives something else than numbers by name.
    """
    if validate is None:
        return {}
    with torch.no_grad(), evaluating(model), feed.left_out():
        found = validate(model, epoch)
    if found is None:
        return {}
    if not isinstance(found, Mapping) or not all(_is_number(value) for value in found.values()):
        raise InputError(
            f"validate gives numbers by name, such as {{'gap': 0.1}}, or None; found {found!r:.80}"
        )
    return {str(name): float(value) for name, value in found.items()}


def _is_number(value: object) -> bool:
    if isinstance(value, bool | np.bool_):
        return False
    return isinstance(value, Real) or getattr(value, "ndim", None) == 0
