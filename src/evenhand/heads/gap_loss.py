"""Soft gaps as a torch loss on minibatches; the formula is :mod:`evenhand.heads.gaps`' own.

A minibatch's cell means are noisy and the penalty squares them, so that a batch loss on its own
evens out noise too. :class:`GapLoss` therefore keeps running means of the cells: its gradient is
the full-data penalty's at those means, through the batch's rows only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenhand._base.arrays import IntArray
from evenhand._base.distributed import ALONE, World
from evenhand._base.text import listed
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.groups import UNKNOWN, Groups, known_groups
from evenhand.heads.gap_tensors import cell_sums, constants_of, filled, penalty
from evenhand.heads.gaps import SOFTNESS, Softness, gap_term

BATCH_SOFTNESS = Softness(shrink=4, min_cell=2)
"""In a batch: a cell of 4 rows counts half, one of a single row not at all."""
MEMORY = 8
"""How many batches the running means of :class:`GapLoss` reach back, about."""


def soft_gap_loss(
    logits: Tensor,
    labels: Tensor,
    groups: Tensor | Sequence[Any],
    criterion: str | Criterion = Criterion.EQUALIZED_ODDS,
    *,
    softness: Softness = BATCH_SOFTNESS,
) -> Tensor:
    """The soft-gap penalty of one batch, to be added to the task's loss.

    ``loss = cross_entropy(logits, labels) + strength * soft_gap_loss(logits, labels, groups)``.
    The batch should have some rows in every cell group × label: 64 rows at least, 256 better; for
    smaller ones use :class:`GapLoss`. With ``SOFTNESS`` and all rows in one batch it is
    the penalty that :func:`evenhand.heads.fit_path` minimises.

    Args:
        logits: (B, K), or (B,) or (B, 1) log-odds of the positive one of two classes.
        labels: (B,) integers in [0, K).
        groups: (B,) integer codes (-1: unknown, in no cell) or any labels (None: unknown).
        criterion: what is to be even.
        softness: how decisions are softened and small cells trusted; the default is for a batch.

    Returns:
        A scalar; 0, with a gradient of 0, where no label has two groups.

    Raises:
        InputError: lengths differ, a label is out of range, or a logit is not finite.

    Example:
        >>> import torch
        >>> logits = torch.randn(256, 2, requires_grad=True)
        >>> labels, groups = torch.randint(0, 2, (256,)), torch.randint(0, 2, (256,))
        >>> loss = torch.nn.functional.cross_entropy(logits, labels)
        >>> loss = loss + 1.0 * eh.soft_gap_loss(logits, labels, groups)
        >>> loss.backward()
    """  # noqa: DOC502
    z = _columns(logits)
    codes = _codes(groups)
    classes = _class_names(z)
    _check(z, labels, len(codes), len(classes))
    _require_finite(z)
    names = tuple(str(g) for g in range(int(codes.max(initial=UNKNOWN)) + 1))
    term = gap_term(
        labels.detach().cpu().numpy().astype(np.int64),
        Groups(codes, names),
        classes,
        criterion,
        softness=softness,
    )
    if not term.active:
        return z.sum() * 0.0
    sums, counts = cell_sums(z, term, term.cell)
    return penalty(term, sums / counts[:, None])


class GapLoss:
    """The soft-gap penalty of all training rows, estimated batch by batch.

    Cells, their shrinkage and which are too small come from the whole training set; the cells'
    mean probabilities are running ones over the last :data:`MEMORY` batches or so. Any batch size
    will do, and in expectation a step goes the way of the full-data penalty.

    Args:
        labels: (N,) integers, of all training rows.
        groups: their groups.
        classes: the K class names.
        criterion: what is to be even.
        softness: how decisions are softened and small cells trusted.
        memory: how many batches the means reach back.
        world: the processes that train together, each with a part of every batch: the means are of
            the whole batch. Every one must call; gradients are then averaged over processes, as
            DistributedDataParallel does.

    Raises:
        InputError: a memory below 1.

    Example:
        >>> import torch
        >>> labels, codes = torch.randint(0, 2, (512,)), torch.randint(0, 2, (512,))
        >>> groups = eh.Groups(codes.numpy(), ("F", "M"))
        >>> gap = eh.GapLoss(labels.numpy(), groups, ("no", "yes"), "equalized_odds")
        >>> for batch in torch.randperm(512).split(32):
        ...     logits = torch.randn(32, 2, requires_grad=True)
        ...     gap(logits, labels[batch], codes[batch]).backward()
    """

    def __init__(
        self,
        labels: IntArray,
        groups: Groups,
        classes: tuple[str, ...],
        criterion: str | Criterion = Criterion.EQUALIZED_ODDS,
        *,
        softness: Softness = SOFTNESS,
        memory: float = MEMORY,
        world: World = ALONE,
    ) -> None:
        if not memory >= 1:
            raise InputError(f"memory must be at least 1 batch, found {memory}")
        self.criterion = Criterion.parse(criterion)
        self.groups, self.classes = groups, tuple(classes)
        labels = np.asarray(labels, dtype=np.int64)
        self.term = gap_term(
            labels,
            groups,
            self.classes,
            self.criterion,
            softness=softness,
        )
        nowhere = len(self.term.sizes)
        self._cell = np.full((len(classes), max(groups.number, 1)), nowhere, dtype=np.int64)
        known = groups.known
        self._cell[labels[known], groups.codes[known]] = self.term.cell[known]
        self._keep = 1 - 1 / memory
        self._constants: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}
        self.world = world
        self.reset()

    @property
    def dropped(self) -> tuple[tuple[str, str], ...]:
        """(group, label) of the cells too small to count."""
        return self.term.dropped

    def require_cells(self) -> None:
        """Refuse rows on which the penalty is always 0.

        Raises:
            InputError: no label has two groups with enough rows.
        """
        if not self.term.active:
            raise InputError(
                f"{self.criterion} has nothing to even out: no two {self.groups.attribute} groups "
                f"have enough rows to compare; the rows are {known_groups(self.groups)}. "
                "Give more rows, or strength 0"
            )

    def reset(self) -> None:
        """Forget the running means, as before the first batch."""
        self._sums: Tensor | None = None
        self._counts: Tensor | None = None
        self._weight = 0.0

    def state(self) -> dict[str, Tensor]:
        """The running means, to go on from later; {} before the first batch."""
        if self._sums is None or self._counts is None:
            return {}
        return {"sums": self._sums, "counts": self._counts, "weight": torch.tensor(self._weight)}

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
        self._sums, self._counts = state["sums"], state["counts"]
        self._weight = float(state["weight"])

    def __call__(self, logits: Tensor, labels: Tensor, groups: Tensor | Sequence[Any]) -> Tensor:
        """The penalty at the running means; backward goes through this batch's rows.

        Args:
            logits: (B, K), or (B,) or (B, 1) log-odds of the positive one of two classes.
            labels: (B,) integers in [0, K).
            groups: (B,) integer codes in the order of the groups' names; -1: unknown.

        Raises:
            InputError: lengths differ, a label or group is out of range, or a logit is not finite.
        """  # noqa: DOC502
        _require_finite(_columns(logits))
        return self.trusting(logits, labels, groups)

    def trusting(self, logits: Tensor, labels: Tensor, groups: Tensor | Sequence[Any]) -> Tensor:
        """The same without a look at the logits, for which the processor would wait for a GPU.

        The caller looks at its loss; labels and groups are best on the processor.

        Raises:
            InputError: lengths differ, or a label or group is out of range.
        """
        z = _columns(logits)
        labels, codes = labels.detach().cpu(), _codes(groups)  # a GPU is waited for once for each
        _check(z, labels, len(codes), len(self.classes))
        wrong = codes[(codes < UNKNOWN) | (codes >= self.groups.number)]
        if len(wrong):
            raise InputError(
                f"group code {wrong[0]} is out of range: there are {self.groups.number} groups, "
                f"{listed(self.groups.names)}"
            )
        if not self.term.active:
            return z.sum() * 0.0
        found = self._cell[labels.numpy(), codes]
        cell = np.where(codes == UNKNOWN, len(self.term.sizes), found)
        sums, counts = cell_sums(z, self.term, cell)
        if self._sums is None or self._counts is None:
            self._sums, self._counts = torch.zeros_like(sums), torch.zeros_like(counts)
        all_sums, all_counts = self._over_processes(sums.detach(), counts)
        self._sums = self._keep * self._sums.to(sums) + all_sums
        self._counts = self._keep * self._counts.to(counts) + all_counts
        self._weight = self._keep * self._weight + 1
        number = self._counts.clamp_min(torch.finfo(counts.dtype).tiny)[:, None]
        place = sums.device, sums.dtype
        if place not in self._constants:
            self._constants[place] = constants_of(self.term, sums)
        constants = self._constants[place]
        means = filled(constants[0], self._sums / number, self._counts > 0)
        share = self._weight * self.world.size / number
        return penalty(self.term, means + (sums - sums.detach()) * share, constants)

    def _over_processes(self, sums: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """The cells' sums and counts over the batches of all processes."""
        if self.world.size == 1:
            return sums, counts
        both = torch.cat([sums, counts[:, None]], dim=1)
        torch.distributed.all_reduce(both)
        return both[:, :-1], both[:, -1]


def _columns(logits: Tensor) -> Tensor:
    z = logits[:, None] if logits.ndim == 1 else logits
    if z.ndim != 2 or not z.shape[1]:
        raise InputError(f"logits must have shape (B, K), found {tuple(logits.shape)}")
    return z if z.dtype == torch.float64 else z.float()


def _codes(groups: Tensor | Sequence[Any]) -> IntArray:
    values = np.asarray(groups.detach().cpu() if isinstance(groups, Tensor) else groups)
    if np.issubdtype(values.dtype, np.integer) and values.ndim == 1:
        return values.astype(np.int64)
    return Groups.from_values(values).codes


def _class_names(z: Tensor) -> tuple[str, ...]:
    return tuple(str(k) for k in range(max(2, z.shape[1])))


def _require_finite(z: Tensor) -> None:
    if not bool(torch.isfinite(z).all()):
        bad = int((~torch.isfinite(z)).any(dim=1).sum())
        raise InputError(
            f"logits hold NaN or infinity in {bad} rows of {len(z)}: the training has diverged; "
            "lower the learning rate"
        )


def _check(z: Tensor, labels: Tensor, groups: int, classes: int) -> None:
    if not len(z) == len(labels) == groups:
        raise InputError(
            f"logits, labels and groups differ in length: {len(z)}, {len(labels)} and {groups}"
        )
    if labels.is_floating_point() or labels.ndim != 1:
        raise InputError(
            f"labels must be (B,) integers, found {labels.dtype} of shape {tuple(labels.shape)}"
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(
            f"labels must lie in [0, {classes}), found {int(labels.min())} to {int(labels.max())}"
        )
