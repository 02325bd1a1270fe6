"""Other ways to the sums of squared per-sample gradients of a linear layer, (G, d, k)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.fisher_case import BATCH, Case
from benchmarks.measure import require

CHUNK = 100
"""Rows whose gradients are held at a time: at 512 × 1000 in float32, 205 MB."""


def loop(case: Case) -> Any:
    """One backward pass a row."""
    weight = case.layer.weight
    total = torch.zeros((2, *weight.shape))
    for x, y, code in zip(case.x, case.y, case.codes.tolist(), strict=True):
        loss = nn.functional.cross_entropy(case.layer(x[None]), y[None])
        total[code] += torch.autograd.grad(loss, weight)[0].square_()
    return _ours(total)


def torch_func(case: Case) -> Any:
    """``torch.func.vmap`` of ``torch.func.grad``."""
    weight, bias = case.layer.weight.detach(), case.layer.bias.detach()

    def loss(w: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(nn.functional.linear(x, w, bias)[None], y[None])

    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    total = torch.zeros((2, *weight.shape))
    for x, y, codes in _batches(case, CHUNK):
        _add(total, gradients(weight, x, y), codes)
    return _ours(total)


def opacus(case: Case) -> Any:
    """opacus' ``GradSampleModule``."""
    require("opacus", "opacus", "opt-einsum")
    from opacus import GradSampleModule

    layer = nn.Linear(case.layer.in_features, case.layer.out_features, bias=False)
    layer.load_state_dict({"weight": case.layer.weight.detach()})
    module = GradSampleModule(layer, loss_reduction="sum")
    total = torch.zeros((2, *layer.weight.shape))
    for x, y, codes in _batches(case, CHUNK):
        nn.functional.cross_entropy(module(x), y, reduction="sum").backward()
        _add(total, layer.weight.grad_sample, codes)  # type: ignore[arg-type]
        module.zero_grad()
    return _ours(total)


def backpack(case: Case) -> Any:
    """BackPACK's ``SumGradSquared``, which needs a pass for each group."""
    require("backpack", "backpack-for-pytorch", "einops", "unfoldNd")
    from backpack import backpack as extended
    from backpack import extend
    from backpack.extensions import SumGradSquared

    layer = nn.Linear(case.layer.in_features, case.layer.out_features)
    layer.load_state_dict(case.layer.state_dict())
    layer, criterion = extend(layer), extend(nn.CrossEntropyLoss(reduction="sum"))
    total = torch.zeros((2, *layer.weight.shape))
    for group in range(2):
        of = case.codes == group
        parts = zip(case.x[of].split(BATCH), case.y[of].split(BATCH), strict=True)
        for x, y in parts:
            with extended(SumGradSquared()):
                criterion(layer(x), y).backward()
            total[group] += layer.weight.sum_grad_squared  # type: ignore[arg-type]
            layer.zero_grad()
    return _ours(total)


RIVALS = {
    "per-sample loop": loop,
    "torch.func": torch_func,
    "opacus": opacus,
    "BackPACK": backpack,
}


def _batches(case: Case, size: int) -> Any:
    return zip(*(one.split(size) for one in (case.x, case.y, case.codes)), strict=True)


def _add(total: torch.Tensor, gradients: torch.Tensor, codes: torch.Tensor) -> None:
    squares = gradients.square_()
    for group in range(2):
        total[group] += squares[codes == group].sum(dim=0)


def _ours(total: torch.Tensor) -> Any:
    """(G, d, k) as an array; torch keeps (k, d)."""
    return np.asarray(total.transpose(1, 2).numpy())
