"""Neutralise the groups' importances into one weight a row (Eq. 2), and the controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import overload

import numpy as np

from evenhand._base.arrays import Float64
from evenhand.errors import InputError
from evenhand.fisher.sums import GroupFisher

FLOOR = 1e-3
"""Rows of zero importance (dead units) weigh this share of the heaviest: finite factors."""


CONTROLS = ("group-agnostic", "random")


Weights = str | Mapping[str, float]


@overload
def neutralize(
    fisher: GroupFisher,
    weights: Weights = ...,
    *,
    seed: int = ...,
    floor: float = ...,
) -> Float64: ...


@overload
def neutralize(
    fisher: Mapping[str, GroupFisher],
    weights: Weights = ...,
    *,
    seed: int = ...,
    floor: float = ...,
) -> dict[str, Float64]: ...


def neutralize(
    fisher: GroupFisher | Mapping[str, GroupFisher],
    weights: Weights = "mean",
    *,
    seed: int = 0,
    floor: float = FLOOR,
) -> Float64 | dict[str, Float64]:
    """One importance for each row of W.

    Args:
        fisher: the groups' sums, of one layer or of several by path.
        weights: ``"mean"``: I_N = mean over groups of sqrt(I_s), for two groups
            1/2 (sqrt I_1 + sqrt I_2) (Eq. 2); a mapping of group names to weights that sum to 1:
            I_N = sum of a_s sqrt(I_s) (the ablation of Fig. 5); ``"group-agnostic"``: sqrt of the
            importance over all rows, as FWSVD; ``"random"``: a control, log-uniform over two
            decades.
        seed: of the random control.
        floor: the least importance, as a share of the largest.

    Returns:
        (d,) positive weights, or a mapping of paths to them.

    Raises:
        InputError: no groups, a group without rows, unknown group names, importances that are not
            finite, weights that do not sum to 1, or a floor outside [0, 1].

    Example:
        >>> sums, counts = np.array([[4.0, 1.0], [16.0, 1.0]]), np.array([1, 1])
        >>> fisher = eh.GroupFisher(sums, counts, ("F", "M"))
        >>> eh.neutralize(fisher)
        array([3., 1.])
        >>> eh.neutralize(fisher, {"F": 1.0, "M": 0.0})
        array([2., 1.])
    """
    if not 0 <= floor <= 1:
        raise InputError(f"the floor is a share of the largest importance, in [0, 1]: {floor}")
    if isinstance(fisher, Mapping):
        return {
            name: neutralize(one, weights, seed=seed, floor=floor) for name, one in fisher.items()
        }
    if not fisher.group_names:
        raise InputError(
            f"there is no group with samples ({fisher.unknown} are of unknown group): "
            "give the groups' names or codes"
        )
    if not np.isfinite(fisher.row_sums).all():
        raise InputError("the importance holds NaN or infinity; check the features it is made from")
    if weights == "random":
        decades = np.random.default_rng(seed).uniform(-1, 1, fisher.row_sums.shape[1])
        return np.power(10.0, decades)
    if weights == "group-agnostic":
        if not fisher.counts.any():
            raise InputError("all groups have 0 rows, so the importance is undefined")
        return _floored(np.sqrt(fisher.pooled), floor)
    shares = _shares(fisher, weights)
    used = shares > 0
    empty = np.flatnonzero(used & (fisher.counts == 0))
    if empty.size:
        raise InputError(
            f"group {fisher.group_names[empty[0]]!r} has 0 rows, so its importance is undefined; "
            "give rows of it, or weights that leave it out"
        )
    return _floored(shares[used] @ np.sqrt(fisher.importance[used]), floor)


def alpha_weights(fisher: GroupFisher, alpha: float) -> dict[str, float]:
    """The weights of Fig. 5: ``alpha`` for the first group, the rest shared by the others.

    Raises:
        InputError: ``alpha`` is not in [0, 1], or there are fewer than two groups.

    Example:
        >>> fisher = eh.GroupFisher(np.ones((3, 2)), np.ones(3, int), ("A", "B", "C"))
        >>> eh.fisher.alpha_weights(fisher, 0.5)
        {'A': 0.5, 'B': 0.25, 'C': 0.25}
    """
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha must lie in [0, 1], found {alpha}")
    if len(fisher.group_names) < 2:
        only = "".join(f" one only: {name!r}" for name in fisher.group_names) or " no group"
        raise InputError(f"alpha balances groups, and there is{only}")
    first, *others = fisher.group_names
    return {first: alpha} | {name: (1 - alpha) / len(others) for name in others}


def _shares(fisher: GroupFisher, weights: str | Mapping[str, float]) -> Float64:
    names = fisher.group_names
    if isinstance(weights, str):
        if weights != "mean":
            known = ", ".join(("mean", *CONTROLS))
            raise InputError(f"unknown weights {weights!r}: use {known} or a mapping of groups")
        return np.full(len(names), 1 / len(names))
    strangers = sorted(set(weights) - set(names))
    if strangers:
        raise InputError(f"no group {strangers[0]!r}; the groups are {', '.join(names)}")
    shares = np.array([float(weights.get(name, 0)) for name in names])
    if not ((shares >= 0).all() and abs(shares.sum() - 1) <= 1e-9):
        raise InputError(f"group weights must be at least 0 and sum to 1, found {dict(weights)}")
    return shares


def _floored(importance: Float64, floor: float) -> Float64:
    highest = importance.max(initial=0)
    if not highest > 0:
        return np.ones_like(importance)
    return np.maximum(importance, max(floor * highest, np.finfo(np.float64).tiny))
