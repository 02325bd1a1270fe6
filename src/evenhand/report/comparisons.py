"""Every group beside one of them, or beside every other: differences and ratios of rates.

Several comparisons are read at once, so that each has a wider interval: of m of them, each holds
its truth in 1 - .05 / m of uses (Bonferroni), and all of them together in .95 at least, however
they depend on each other.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evenhand.criteria import Criterion
from evenhand.metrics.counts import Counts
from evenhand.metrics.intervals import difference_interval, ratio_interval

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
Hits = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""(G,) rows that count, and out of how many."""


class Family(NamedTuple):
    """Comparisons that are read together.

    Attributes:
        frame: a row for each rate, class and pair: ``rate``, ``class``, ``group``, ``reference``,
            ``group_rate``, ``reference_rate``, ``difference`` and ``ratio``, each of the two with
            ``_low`` and ``_high``. NaN where a rate has no rows, or the reference's is 0.
        number: of the comparisons that are defined, for which intervals are wider.
    """

    frame: pd.DataFrame
    number: int


def to_reference(counts: Counts, reference: int, level: float = LEVEL) -> Family:
    """Every group beside one of them.

    Args:
        counts: of G groups.
        reference: the number of the group.
        level: the share of uses in which all intervals hold the truth together.

    Example:
        >>> from evenhand.report.comparisons import to_reference
        >>> table = np.array([[[90, 10], [40, 60]], [[80, 20], [20, 80]]])
        >>> counts = eh.Counts(table, np.zeros((2, 2)), ("F", "M"), ("no", "yes"))
        >>> frame, number = to_reference(counts, 1)
        >>> number, round(frame.set_index("rate").loc["tpr", "difference"], 2)
        (5, -0.2)
    """
    others = [g for g in range(len(counts.group_names)) if g != reference]
    return _family(counts, [(g, reference) for g in others], level)


def all_pairs(counts: Counts, level: float = LEVEL) -> Family:
    """Every group beside every other; see :func:`to_reference`.

    Args:
        counts: of G groups.
        level: the share of uses in which all intervals hold the truth together.
    """
    pairs = combinations(range(len(counts.group_names)), 2)
    return _family(counts, list(pairs), level)


def said(number: int, level: float = LEVEL) -> str:
    """What the intervals of so many comparisons are, in a sentence."""
    if number < 2:
        return f"The intervals hold the truth in {level:.0%} of uses."
    return (
        f"Intervals are simultaneous: all {number:,} hold the truth together in {level:.0%} of "
        f"uses at least (Bonferroni: each alone in {1 - (1 - level) / number:.2%})."
    )


def _family(counts: Counts, pairs: list[tuple[int, int]], level: float) -> Family:
    rates = _rates(counts)
    number = sum(
        bool(rows[one] > 0 and rows[other] > 0) for _, _, (_, rows) in rates for one, other in pairs
    )
    each = 1 - (1 - level) / max(number, 1)
    found: list[dict[str, Any]] = []
    for name, label, (hits, rows) in rates:
        for one, other in pairs:
            found.append(
                {"rate": name, "class": label}
                | {"group": counts.group_names[one], "reference": counts.group_names[other]}
                | _compared((hits[one], rows[one]), (hits[other], rows[other]), each)
            )
    import pandas as pd

    return Family(pd.DataFrame(found), number)


def _compared(one: tuple[float, float], other: tuple[float, float], level: float) -> dict[str, Any]:
    rate, base = (hits / rows if rows > 0 else np.nan for hits, rows in (one, other))
    low, high = difference_interval(one, other, level)
    ratio, ratio_low, ratio_high = np.nan, np.nan, np.nan
    if base > 0:
        ratio = rate / base
        ratio_low, ratio_high = (
            float(end) for end in ratio_interval(*one, over=other, level=level)
        )
    return {
        "group_rate": rate,
        "reference_rate": base,
        "difference": rate - base,
        "difference_low": low,
        "difference_high": high,
        "ratio": ratio,
        "ratio_low": ratio_low,
        "ratio_high": ratio_high,
    }


def _rates(counts: Counts) -> list[tuple[str, str, Hits]]:
    """The rates of the groups, by name and class; those by label where labels are known."""
    table = np.asarray(counts.effective(Criterion.DEMOGRAPHIC_PARITY), dtype=np.float64)
    by_label = np.asarray(counts.effective(Criterion.EQUALIZED_ODDS), dtype=np.float64)
    every, k = table.sum((1, 2)), len(counts.class_names)
    found: list[tuple[str, str, Hits]] = []
    for c in [1] if k == 2 else range(k):
        name, chosen = counts.class_names[c], table[:, :, c].sum(1)
        found.append(("selection_rate", name, (chosen, every)))
        if counts.labelled:
            hits, inside = by_label[:, c, c], by_label[:, c].sum(1)
            wrong, outside = by_label[:, :, c].sum(1) - hits, by_label.sum((1, 2)) - inside
            found.append(("tpr", name, (hits, inside)))
            found.append(("fpr", name, (wrong, outside)))
            found.append(("precision", name, (table[:, c, c], chosen)))
    if counts.labelled:
        found.append(("accuracy", "", (np.trace(table, axis1=1, axis2=2), every)))
    return found
