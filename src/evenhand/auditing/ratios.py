"""Rates of groups, and what share they are of another group's: impact ratios."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenhand._base.names import CROSSED
from evenhand._base.text import listed, visible
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.metrics.counts import Counts
from evenhand.metrics.intervals import rate_interval, ratio_interval

if TYPE_CHECKING:
    import pandas as pd


def reference_of(counts: Counts, references: Sequence[str]) -> int | None:
    """The group among ``references``, or the crossing of them; None where there is none.

    Raises:
        InputError: several of the groups are.
    """
    found = [
        at
        for at, name in enumerate(counts.group_names)
        if name in references or set(name.split(CROSSED)) <= set(references)
    ]
    if len(found) > 1:
        names = listed([visible(counts.group_names[at]) for at in found])
        raise InputError(
            f"--reference: several groups of {visible(counts.attribute)} are named: {names}"
        )
    return found[0] if found else None


def check_references(counted: Sequence[Counts], references: Sequence[str]) -> None:
    """Refuse a reference that is no group, and several for one column.

    Raises:
        InputError: there is none of that name; the nearest is named.
    """
    for counts in counted:
        reference_of(counts, references)
    every = [name for counts in counted for name in counts.group_names]
    for reference in references:
        if reference not in every:
            near = difflib.get_close_matches(reference, every, n=1)
            hint = f"; did you mean {visible(near[0])!r}?" if near else ""
            raise InputError(
                f"--reference: there is no group {visible(reference)!r}{hint} The groups are "
                f"{listed([visible(name) for name in every])}"
            )


def ratios(
    counts: Counts, hits: npt.NDArray[Any], name: str, reference: int | None
) -> pd.DataFrame:
    """The columns of :func:`ratio_columns` as a table."""
    import pandas as pd

    return pd.DataFrame(ratio_columns(counts, hits, name, reference))


def selected_columns(counts: Counts, reference: int | None) -> dict[str, Any]:
    """The selection rate of every group of two classes, and its ratio to the reference's."""
    return ratio_columns(counts, counts.table[..., 1].sum(axis=1), "selected", reference)


def ratio_columns(
    counts: Counts, hits: npt.NDArray[Any], name: str, reference: int | None
) -> dict[str, Any]:
    """The rate of every group and its ratio to the reference's, with 95 % intervals.

    Args:
        counts: of G groups.
        hits: (G,) rows that count, such as those decided positive. Of weighted rows, the effective
            ones are told.
        name: what they are called.
        reference: number of the group; None: that with the highest rate.
    """
    rows = counts.sizes
    if counts.squares is not None:
        sure = counts.effective_cells(Criterion.DEMOGRAPHIC_PARITY).sum(axis=1)
        hits = hits * np.divide(sure, rows, out=np.ones(len(rows)), where=rows > 0)
        rows = sure
    rate = np.divide(hits, rows, out=np.full(len(rows), np.nan), where=rows > 0)
    low, high = rate_interval(hits, rows)
    if reference is None and np.isfinite(rate).any():
        reference = int(np.nanargmax(rate))
    ratio = ratio_low = ratio_high = np.full(len(rows), np.nan)
    if reference is not None and rate[reference] > 0:
        ratio = rate / rate[reference]
        base = float(hits[reference]), float(rows[reference])
        ratio_low, ratio_high = ratio_interval(hits, rows, over=base)
        ratio_low[reference] = ratio_high[reference] = 1.0
    return {
        "group": counts.group_names,
        "rows": rows,
        name: hits,
        "rate": rate,
        "low": low,
        "high": high,
        "impact_ratio": ratio,
        "ratio_low": ratio_low,
        "ratio_high": ratio_high,
    }
