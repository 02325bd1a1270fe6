"""Errors counted on labels, and expected of a model of them: their mean is less noisy.

Two candidates that decide a row otherwise differ by that row's label, a coin that fell one way.
What each would err on average is surer where a model knows the coin: with p a row's probability of
the second class, a row decided as the first counts p, else 1 - p. The model is transfer learning's
held-out log-odds, recalibrated by group (METHOD 6.5). Gaps stay counted: a model of the labels that
is wrong for a group would hide its gap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand._base.arrays import Float64
from evenhand.heads.fit import fit_path
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.decisions import Decisions
from evenhand.heads.spec import HeadSpec
from evenhand.rows import Rows

RIDGE = 1e-4
"""Of the recalibration, whose log-odds have unit variance."""


def label_model(families: Sequence[Candidates]) -> Float64 | None:
    """(N,) each row's probability of the second of two classes; None where there is no model.

    It reads the held-out log-odds of the family whose transfer learning has the lowest log-loss.
    """
    lowest, richest = np.inf, None
    for family in families:
        begins = family.strengths[0] == 0 and not family.merges
        if family.decisions is not None and family.decisions.classes == 2 and begins:
            loss = float(family.log_loss[0])
            if loss < lowest:
                lowest, richest = loss, family.decisions
    return None if richest is None else recalibrated(richest)


def recalibrated(decisions: Decisions) -> Float64:
    """(N,) p = sigmoid(a_g + b_g z) of each row's held-out log-odds z and its group g.

    Rows of unknown group are a group of their own.
    """
    groups = decisions.groups.number
    members = np.eye(groups + 1)[decisions.group]
    world, z = decisions.world, decisions.log_odds
    one = np.ones(len(z)) if decisions.counting is None else decisions.counting.values
    number = float(world.sum(np.array([one.sum()]))[0]) or 1.0
    mean = float(world.sum(np.array([one @ z]))[0]) / number
    spread = np.sqrt(float(world.sum(np.array([one @ (z - mean) ** 2]))[0]) / number) or 1.0
    score = (z - mean) / spread
    present = np.flatnonzero(world.sum(members.sum(axis=0)) > 0)[1:]
    members = members[:, present]
    design = np.column_stack([score, members, members * score[:, None]])
    rows = Rows(design, decisions.labels, decisions.groups, ("0", "1"), world, decisions.counting)
    head = fit_path(rows, HeadSpec(ridge=RIDGE))[0].head
    logits = head.logits(design)
    found: Float64 = 1 / (1 + np.exp(np.clip(logits[:, 0] - logits[:, 1], -500, 500)))
    return found


def expected_totals(family: Candidates, probability: Float64) -> Float64 | None:
    """(S, O, K, K) the confusion matrices that a model of the labels expects.

    Args:
        family: of two classes.
        probability: (N,) of the second class.

    Returns:
        The matrices; None where only the family's counts are known.
    """
    if family.decisions is None or len(probability) != len(family.decisions.labels):
        return None
    positive = family.decisions.weighted(probability)
    decided = family.totals.sum(axis=-2)
    return np.stack([decided - positive, positive], axis=-2)
