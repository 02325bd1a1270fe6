"""The Fisher information of a linear layer, group by group.

For z = x W + b with W (d, k) and a loss whose gradient at z is delta (k,), a sample's gradient at W
is the outer product x deltaᵀ. So the diagonal of the empirical Fisher information of group s is
``mean over s of x_i² delta_j²`` and one row's importance, its sum over j, is
``I_s[i] = mean over s of x_i² ||delta||²`` (Eq. 1 of Zhang & Zhou, 2024, and the row sum of
Algorithm 1): two matrix products for all rows and groups, never a per-sample gradient, and never
the square of a batch's gradient, which is another thing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.errors import InputError
from evenhand.fisher.closed_form import ClosedForm, summed
from evenhand.fisher.sums import GroupFisher, Kind, KroneckerSums, check_kind
from evenhand.head import Head
from evenhand.rows import Rows
from evenhand.weights import sums_by


def head_fisher(
    rows: Rows,
    head: Head,
    *,
    kind: Kind = "empirical",
    diagonal: bool = False,
    kronecker: bool = False,
) -> GroupFisher:
    """The group Fisher of a softmax head on cached features, in one pass over them.

    Args:
        rows: features (N, d), labels and groups; group -1 is left out and counted. A row of weight
            w counts w times.
        head: W (d, k) and b (k,), usually the pre-trained ones (Algorithm 1).
        kind: ``"true"`` replaces ||delta||² by its expectation under the model, 1 - sum p².
        diagonal: collect the full d × k diagonal too.
        kronecker: collect E[x xᵀ], E[diag(p) - p pᵀ] and E[x] too.

    Returns:
        Sums in float64, whatever the features' dtype.

    Raises:
        InputError: the head reads another width or has no logit for a label, or a feature is not
            finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> groups = eh.Groups(rng.integers(0, 2, 100), ("F", "M"))
        >>> labels = rng.integers(0, 2, 100)
        >>> rows = eh.heads.Rows(rng.normal(size=(100, 3)), labels, groups, ("no", "yes"))
        >>> head = eh.heads.Head(np.zeros((3, 2)), np.zeros(2))
        >>> eh.head_fisher(rows, head).importance.shape  # (groups, features)
        (2, 3)
    """
    check_kind(kind)
    d = rows.features.shape[1]
    if d != head.in_features:
        raise InputError(
            f"the head reads features of shape (N, {head.in_features}), found ({len(rows)}, {d})"
        )
    if (rows.labels >= head.out_features).any():
        raise InputError(
            f"the head tells {head.out_features} classes apart, found a label {rows.labels.max()}"
        )
    sums = summed(
        rows,
        ClosedForm(
            np.asarray(head.weight, dtype=np.float64),
            np.asarray(head.bias, dtype=np.float64),
            rows.groups.number,
            expected=kind == "true",
            diagonal=diagonal,
            kronecker=kronecker,
        ),
    )
    counts: npt.NDArray[Any] = rows.groups.sizes
    if rows.weights is not None:
        known = rows.groups.known
        own = rows.weights[known]
        counts, _ = sums_by(rows.groups.codes[known], rows.groups.number, own)
    samples = np.array(len(rows) if rows.weights is None else rows.weights.values.sum())
    return GroupFisher(
        sums.rows,
        counts,
        rows.groups.names,
        int((~rows.groups.known).sum()),
        kind,
        sums.diagonal,
        KroneckerSums(*sums.kronecker, samples) if sums.kronecker else None,
    )
