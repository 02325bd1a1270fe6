"""One head and its rows, as every way to the group Fisher reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.rows import Rows

BATCH = 500
"""Rows a batch, of the ways that take batches."""


@dataclass(frozen=True)
class Case:
    """A head and rows of two groups, as arrays and as tensors."""

    rows: Rows
    head: Head
    layer: torch.nn.Linear
    x: torch.Tensor
    y: torch.Tensor
    codes: torch.Tensor


def make(n: int, d: int, k: int) -> Case:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d)).astype(np.float32)
    weight = (rng.normal(size=(d, k)) / np.sqrt(d)).astype(np.float32)
    labels = (x @ weight + rng.gumbel(size=(n, k))).argmax(axis=1)
    groups = Groups(rng.integers(0, 2, n), ("a", "b"))
    layer = torch.nn.Linear(d, k)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.T.copy()))
        layer.bias.zero_()
    return Case(
        Rows(x, labels, groups, tuple(map(str, range(k)))),
        Head(weight, np.zeros(k, dtype=np.float32)),
        layer,
        torch.from_numpy(x),
        torch.from_numpy(labels),
        torch.from_numpy(groups.codes),
    )
