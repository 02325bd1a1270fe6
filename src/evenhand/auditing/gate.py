"""What fails the lines that a user draws, a sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from evenhand._base.text import listed, number, visible
from evenhand.auditing.against import worse
from evenhand.auditing.limits import IMPACT_RATIO
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.metrics.counts import Counts
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.undefined import partial_gap, why_undefined

if TYPE_CHECKING:
    from evenhand.auditing.result import Audit


def failures(audit: Audit) -> list[str]:
    """All that fails the gates of the audit's request."""
    asked = audit.request
    found = above(audit, asked.limits, by_upper=asked.by_upper)
    found += worse(audit.against, asked.fail_worse or {}, by_upper=asked.by_upper)
    for name, limit in asked.levels.items():
        if name == IMPACT_RATIO:
            found += ratios_below(audit, limit)
        else:
            found += levels_below(audit, name, limit)
    return found


def above(
    audit: Audit, limits: Mapping[str | Criterion, float] | Mapping[str, float], *, by_upper: bool
) -> list[str]:
    """Every gap that is above its limit, or undefined; see ``Audit.above``.

    Raises:
        InputError: an unknown criterion, or a limit that is not a number.
    """
    found = list(audit.apart) if limits else []
    for name, limit in limits.items():
        criterion = Criterion.parse(name)
        if not limit >= 0:
            raise InputError(f"the limit of {criterion} must be at least 0, found {limit}")
        for attribute, counts in audit.counts.items():
            said = _above(counts, criterion, limit, by_upper=by_upper)
            if said is not None:
                found.append(f"{criterion.value} by {visible(attribute)}: {said}")
    return found


def _above(counts: Counts, criterion: Criterion, limit: float, *, by_upper: bool) -> str | None:
    gap, low, high = gap_interval(counts, criterion)
    undefined = why_undefined(counts, criterion)
    if undefined:
        least = number(float(partial_gap(counts.table, criterion)))
        return f"the gap is at least {least}; what it is no one can say, since {listed(undefined)}"
    if np.isnan(gap):
        return "the gap is undefined, no two groups can be compared"
    if by_upper and np.isnan(high):
        return "the gap has no interval, there are too many groups"
    if not (high if by_upper else gap) > limit:
        return None
    what = "the upper end of the gap" if by_upper else "the gap"
    return f"{what} {number(gap)} ({number(low)} to {number(high)}) is above {limit:g}"


def levels_below(audit: Audit, name: str | Criterion, limit: float) -> list[str]:
    """Every grouping of which a level, such as the accuracy of the worst group, is below ``limit``,
    or undefined; judged by the lower end where the request says by_upper.
    """
    criterion, found = Criterion.parse(name), list(audit.apart)
    for attribute, counts in audit.counts.items():
        level, low, high = gap_interval(counts, criterion)
        by = f"{criterion.value} by {visible(attribute)}"
        judged = low if audit.request.by_upper else level
        if not np.isfinite(judged):
            found.append(f"{by}: it is undefined")
        elif judged < limit:
            ends = f"{number(level)} ({number(low)} to {number(high)})"
            found.append(f"{by}: {ends} is below {limit:g}")
    return found


def ratios_below(audit: Audit, limit: float) -> list[str]:
    """Every group whose impact ratio is below ``limit``, a line of the user's.

    Groups with fewer rows than the request's ``min_count`` are not judged.
    """
    found = []
    for part in audit.shown:
        by = f"impact ratio by {visible(part.counts.attribute)}"
        frame = audit.ratios(part)
        judged = frame[frame["rows"] >= audit.request.min_count]
        if judged["impact_ratio"].notna().sum() < 2:
            found.append(f"{by}: no two groups have the rows to be compared")
        found += [
            f"{by}: {number(row['impact_ratio'])} ({number(row['ratio_low'])} to "
            f"{number(row['ratio_high'])}) of {visible(row['group'])} is below {limit:g}"
            for row in judged.to_dict(orient="records")
            if row["impact_ratio"] < limit
        ]
    return found
