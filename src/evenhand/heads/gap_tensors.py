"""The cells of a batch, their means and the penalty on them, as torch computes them on any device.

Nothing here makes the processor wait for a GPU.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evenhand._base.arrays import IntArray
from evenhand._base.transfers import pinned, sent
from evenhand.heads.gaps import GapTerm


def penalty(term: GapTerm, means: Tensor, constants: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """:func:`evenhand.heads.gaps.penalty_of_means`, differentiable by torch.

    Args:
        term: of the rows.
        means: (C, K) or (C, 1) mean probabilities of its cells.
        constants: the term's contrast and mask where the means are; made anew by default.
    """
    contrast, mask = constants_of(term, means) if constants is None else constants
    return term.weight * ((mask * (contrast @ means)) ** 2).sum()


def constants_of(term: GapTerm, means: Tensor) -> tuple[Tensor, Tensor]:
    """The contrast and the mask of a term, as and where ``means`` are."""
    contrast, mask = (
        torch.as_tensor(values, dtype=means.dtype, device=means.device)
        for values in (term.contrast, term.mask[:, -means.shape[1] :])
    )
    return contrast, mask


def cell_sums(z: Tensor, term: GapTerm, cell: IntArray) -> tuple[Tensor, Tensor]:
    """(C, K) sums of the cells' soft decisions, and (C,) rows; one column for two classes."""
    if z.shape[1] == 1:
        soft = torch.sigmoid(term.beta * z)
    else:
        soft = torch.softmax(term.beta * z, dim=1)
        soft = soft[:, 1:] if z.shape[1] == 2 else soft
    cells = len(term.sizes)
    sums = torch.zeros((cells + 1, soft.shape[1]), dtype=soft.dtype, device=soft.device)
    number = torch.as_tensor(np.bincount(cell, minlength=cells + 1)[:cells]).to(soft.dtype)
    places, counts = sent(pinned((torch.as_tensor(cell), number), z.device), z.device)
    return sums.index_add(0, places, soft)[:-1], counts


def filled(contrast: Tensor, means: Tensor, seen: Tensor) -> Tensor:
    """A cell not seen yet takes the mean of its label's other cells: it is no reason to move."""
    if seen.device.type == "cpu" and bool(seen.all()):
        return means
    beside = (contrast != 0) & seen
    others = beside.to(means.dtype) @ means / beside.sum(dim=1, keepdim=True).clamp_min(1)
    return torch.where(seen[:, None], means, others)
