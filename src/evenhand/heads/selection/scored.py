"""Every candidate's error, gap and upper bound, as the selection compares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evenhand._base.arrays import IntArray
from evenhand.criteria import Criterion
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.rule import Rule
from evenhand.metrics.bounds import upper_bound
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import Array, error_metric, gap


class Scored(NamedTuple):
    """All candidates of all families in one flat list, the old head (if any) last.

    ``plain`` is transfer learning's confusion matrix; ``differing`` as :class:`Candidates` has it;
    ``transfer`` and ``old`` are places in the list.
    """

    where: list[tuple[int | None, tuple[int, int] | None]]
    tables: IntArray
    differing: Array
    plain: IntArray
    error: Array
    gap: dict[Criterion, Array]
    upper: dict[Criterion, Array]
    transfer: int
    old: int | None


def score_candidates(
    families: Sequence[Candidates],
    rule: Rule,
    old: Counts | None,
    old_loss: float | None,
    z: float,
) -> Scored:
    """Every candidate of every family, as the selection compares them."""
    where: list[tuple[int | None, tuple[int, int] | None]] = []
    tables, totals, losses, differing = [], [], [], []
    for number, family in enumerate(families):
        strengths, offsets, _, _, classes = family.tables.shape
        where += [(number, (s, o)) for s in range(strengths) for o in range(offsets)]
        tables.append(np.concatenate(family.tables))
        totals.append(np.concatenate(family.totals))
        at_zero = np.array(family.offsets) == 0
        losses.append(np.where(at_zero, family.log_loss[:, None], np.inf).ravel())
        differing.append(
            np.zeros((strengths * offsets, classes))
            if family.differing is None
            else np.concatenate(family.differing)
        )
    if old is not None:
        where.append((None, None))
        tables.append(old.table[None])
        totals.append(old.total[None])
        losses.append(np.array([old_loss], dtype=np.float64))
        differing.append(np.zeros((1, len(old.class_names))))
    every = np.concatenate(tables)
    if rule.error == "log_loss":
        error: Array = 100 * np.concatenate(losses)
    else:
        error = np.asarray(error_metric(rule.error)(np.concatenate(totals)), dtype=np.float64)
    return Scored(
        where,
        every,
        np.concatenate(differing),
        totals[0][families[0].offsets.index(0.0)],
        error,
        {c: gap(every, c) for c in rule.criteria},
        {c: upper_bound(every, c, z) for c in rule.criteria},
        families[0].offsets.index(0.0),
        None if old is None else len(where) - 1,
    )
