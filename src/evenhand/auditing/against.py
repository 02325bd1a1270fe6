"""The gaps of one audit less those of another: another period, another model, another column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand._base.text import listed, number, visible
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import Interval
from evenhand.metrics.undefined import why_undefined

if TYPE_CHECKING:
    import pandas as pd

    from evenhand.auditing.result import Audit
    from evenhand.metrics.counts import Counts


@dataclass(frozen=True)
class Difference:
    """One gap now, and before.

    Attributes:
        attribute: what is grouped by.
        criterion: of the gap.
        now, before: with their 95 % intervals; NaN where they are not wholly defined.
        change: now less before, with its 95 % interval.
    """

    attribute: str
    criterion: Criterion
    now: Interval
    before: Interval
    change: Interval


def differences(now: Audit, before: Audit) -> tuple[Difference, ...]:
    """The changes of all gaps that both audits have.

    The interval of a difference is made from the two (Zou and Donner's MOVER), as of rows that are
    not the same; of the same rows decided twice it is wider than it need be.

    Raises:
        InputError: the classes of the two are not the same, or nothing is grouped alike.
    """
    if set(now.classes) != set(before.classes):
        raise InputError(
            f"the two audits have other classes: {listed(map(visible, now.classes))} and "
            f"{listed(map(visible, before.classes))}"
        )
    found = [
        _difference(attribute, criterion, counts, before.counts[attribute])
        for attribute, counts in now.counts.items()
        if attribute in before.counts
        for criterion in now.criteria
    ]
    if not found:
        raise InputError("the two audits have no grouping in common")
    return tuple(found)


def _difference(
    attribute: str, criterion: Criterion, counts: Counts, counts_before: Counts
) -> Difference:
    now, before = _gap(counts, criterion), _gap(counts_before, criterion)
    apart = now.estimate - before.estimate
    low = apart - np.hypot(now.estimate - now.low, before.high - before.estimate)
    high = apart + np.hypot(now.high - now.estimate, before.estimate - before.low)
    return Difference(attribute, criterion, now, before, Interval(apart, float(low), float(high)))


def _gap(counts: Counts, criterion: Criterion) -> Interval:
    if why_undefined(counts, criterion):
        return Interval(np.nan, np.nan, np.nan)
    return gap_interval(counts, criterion)


def frame(changes: Sequence[Difference]) -> pd.DataFrame:
    """The differences as a table."""
    import pandas as pd

    rows: list[dict[str, Any]] = [
        {
            "attribute": each.attribute,
            "criterion": str(each.criterion),
            "now": each.now.estimate,
            "before": each.before.estimate,
            "change": each.change.estimate,
            "low": each.change.low,
            "high": each.change.high,
        }
        for each in changes
    ]
    return pd.DataFrame(rows)


def worse(
    changes: Sequence[Difference], limits: Mapping[str, float], *, by_upper: bool
) -> list[str]:
    """A sentence for every gap that grew by more than its limit, or cannot be compared.

    Args:
        changes: of all gaps.
        limits: criterion to how much worse it may be than before.
        by_upper: judge by the upper end of the interval of the difference.
    """
    found = []
    for each in changes:
        limit = limits.get(str(each.criterion))
        if limit is None:
            continue
        by = f"{each.criterion} by {visible(each.attribute)}"
        judged = each.change.high if by_upper else each.change.estimate
        if not np.isfinite(judged):
            found.append(f"{by}: the change is undefined, since a gap is")
        elif judged > limit:
            found.append(f"{by}: {sentence(each)}; more than {limit:g} worse is not allowed")
    return found


def sentence(change: Difference) -> str:
    """What became of a gap."""
    ends = f"{number(change.change.low)} to {number(change.change.high)}"
    return (
        f"{number(change.before.estimate)} before, {number(change.now.estimate)} now, a change of "
        f"{number(change.change.estimate)} ({ends})"
    )
