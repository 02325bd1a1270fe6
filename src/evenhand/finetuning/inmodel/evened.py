"""The penalty of training rows, and the head fitted with it: where training below a head begins."""

from __future__ import annotations

import numpy as np

from evenhand.criteria import Criterion
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.heads.fit import fit_path
from evenhand.heads.gap_loss import GapLoss
from evenhand.heads.gaps import gap_terms
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.heads.streaming.placing import let_go
from evenhand.rows import Rows


def gap_loss_of(rows: Rows, criterion: str | Criterion) -> GapLoss:
    """The penalty of all rows, those of other processes too."""
    world, groups = rows.world, rows.groups
    labels, codes = (np.concatenate(world.gather(part)) for part in (rows.labels, groups.codes))
    every = Groups(codes, groups.names, groups.attribute)
    return GapLoss(labels, every, rows.classes, criterion, world=world)


def evened_head(
    rows: Rows, criterion: str | Criterion, strength: float, *, ridge: float, start: Head | None
) -> Head:
    """The head that evens out ``criterion`` at one strength, fitted to convergence."""
    terms = gap_terms(rows.labels, rows.groups, rows.classes, criterion, world=rows.world)
    control = FitControl(start=start)
    head = fit_path(rows, HeadSpec(ridge=ridge), (strength,), terms, control=control)[0].head
    let_go()  # training needs the memory
    return head
