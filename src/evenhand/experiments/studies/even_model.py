"""How often chance alone refuses a model that is perfectly even.

The noise floor is the bound that an even model would be promised if its counts came out even too.
They hardly ever do: a little above the floor a promise hangs on luck whatever the rule, and only
well above it can a rule be blamed for refusing. So refusals are told beside those of a model that
is even and known beforehand, where nothing is chosen.
"""

from __future__ import annotations

import numpy as np

from evenhand._base.arrays import IntArray
from evenhand.heads.selection.rule import Bound
from evenhand.metrics.bounds import upper_bound

DRAWS = 400


def refused_share(
    table: IntArray, bound: Bound, z: float, *, min_rows: int = 1, seed: int = 0
) -> float:
    """The share of samples on which an even model cannot be promised a bound of a gap.

    It gives each class as often as the decisions counted, to all groups alike: to all rows, or to
    those of each label where the criterion looks at labels.

    Args:
        table: (G, K, K) counts of group, label and decision.
        bound: of a gap.
        z: the critical value of its upper bound.
        min_rows: the fewest rows a rate that is compared may be a share of.
        seed: of the samples.
    """
    cells = table.sum(axis=-1)
    of_label = table.sum(axis=0)
    if bound.criterion.comparison.rates == ("selection_rate",):
        of_label = np.broadcast_to(of_label.sum(axis=0), of_label.shape)
    shares = of_label / np.maximum(of_label.sum(axis=-1, keepdims=True), 1)
    shares = np.where(of_label.sum(axis=-1, keepdims=True) > 0, shares, 1 / len(shares))
    generator = np.random.default_rng(seed)
    samples = generator.multinomial(
        cells, np.broadcast_to(shares, table.shape), size=(DRAWS, *cells.shape)
    )
    return float(np.mean(~(upper_bound(samples, bound.criterion, z, min_rows) <= bound.limit)))
