"""Kronecker factors of a model's layers, pooled or balanced over groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add
from typing import Literal, get_args

import numpy as np

from evenhand.errors import InputError
from evenhand.fisher.sums import Cell, GroupFisher, KroneckerSums

Balance = Literal["pooled", "groups", "cells"]


def kronecker_factors(
    fisher: Mapping[str, GroupFisher], balance: Balance = "pooled"
) -> dict[str, KroneckerSums]:
    """What :func:`evenhand.factorize_` weighs each layer by, C^1/2 W G^1/2 (METHOD 6.7).

    Args:
        fisher: of :func:`evenhand.group_fisher` with ``kronecker=True``.
        balance: ``"pooled"``: the mean over all samples. ``"groups"``: the mean of the groups'
            means, so that each weighs as much as another. ``"cells"``: of the means of each group ×
            label.

    Raises:
        InputError: no such balance, the factors were not collected, or no group is known.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> batch = torch.randn(64, 4), torch.randint(0, 2, (64,)), torch.tensor([0, 1] * 32)
        >>> fisher = eh.group_fisher(model, [batch], target_modules=["0"], kronecker=True)
        >>> factors = eh.fisher.kronecker_factors(fisher, "groups")
        >>> eh.factorize_(model, factors, rank=2)[0].rank
        2
    """
    if balance not in get_args(Balance):
        raise InputError(f"no balance {balance!r}: give one of {', '.join(get_args(Balance))}")
    return {name: _balanced(name, one, balance) for name, one in fisher.items()}


def _balanced(name: str, fisher: GroupFisher, balance: Balance) -> KroneckerSums:
    cells = fisher.kronecker_cells
    if not cells:
        raise InputError(
            f"the Kronecker factors of {name!r} were not collected: group_fisher(kronecker=True)"
        )
    if balance == "pooled":
        return sum_of(cells.values())
    known: dict[Cell, KroneckerSums] = {cell: s for cell, s in cells.items() if cell[0] is not None}
    if not known:
        raise InputError(f"no sample of {name!r} is of a known group: give the groups' names")
    if balance == "cells":
        return sum_of(map(_mean, known.values()))
    groups = {group for group, _ in known}
    return sum_of(
        _mean(sum_of(sums for cell, sums in known.items() if cell[0] == group)) for group in groups
    )


def sum_of(parts: Iterable[KroneckerSums]) -> KroneckerSums:
    """All of them, at least one, added."""
    return reduce(add, parts)


def _mean(sums: KroneckerSums) -> KroneckerSums:
    """The sums of one sample like the average one."""
    return KroneckerSums(
        sums.input_factor, sums.output_factor, sums.mean, np.ones_like(sums.samples)
    )
