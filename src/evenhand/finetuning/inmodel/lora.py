"""LoRA adapters of PEFT's inside a model, for the time of their training."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from evenhand.errors import InputError, MissingExtraError, ModelError
from evenhand.models.backbone import Backbone


def lora_config(target_modules: Any, rank: int, pattern: Mapping[str, int] | None) -> Any:
    """PEFT's own configuration of low-rank adapters.

    Raises:
        MissingExtraError: PEFT is not installed.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise MissingExtraError("peft", "peft", "an adapter inside a model") from error
    named = target_modules if isinstance(target_modules, str) else list(target_modules)
    # alpha = r everywhere, so that an adapter's change is B A itself.
    return LoraConfig(
        r=rank,
        lora_alpha=rank,
        target_modules=named,
        rank_pattern=dict(pattern or {}),
        alpha_pattern=dict(pattern or {}),
    )


def targets_of(own: Backbone, lora: Any) -> list[str]:
    """The paths PEFT will adapt; checked before anything is computed.

    Raises:
        InputError: the head is among them, or they are a text that is no regular expression.
        ModelError: there are none.
    """
    from peft.tuners.tuners_utils import check_target_module_exists

    if isinstance(lora.target_modules, str):
        try:
            re.compile(lora.target_modules)
        except re.error as error:
            raise InputError(
                f"target_modules {lora.target_modules!r} is no regular expression: {error}; "
                "give one that fits whole paths, or a list of their last parts"
            ) from error
    matched = [
        path
        for path, module in own.model.named_modules()
        if path and hasattr(module, "weight") and check_target_module_exists(lora, path)
    ]
    if own.head in matched:
        raise InputError(f"the head {own.head!r} trains whole: leave it out of target_modules")
    if not matched:
        raise ModelError(f"no layer of {own.name} matches target_modules {lora.target_modules!r}")
    return matched


@contextmanager
def adapters(model: nn.Module, lora: Any, seed: int) -> Iterator[None]:
    """LoRA inside the block, merged after it; parameters' flags are given back."""
    from peft import LoraModel

    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tuner = LoraModel(model, {"default": lora}, "default")
    try:
        yield
    finally:
        tuner.merge_and_unload()
        vars(model).pop("peft_config", None)  # older PEFTs leave it behind
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(flags[name])
