"""What a run found, in numbers of people: of 100 women who repaid, 80 were approved; of men, 91.

No word of statistics. The rates behind a sentence are those the criterion compares; the groups are
the two furthest apart among those with enough rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Table
from evenhand._base.names import CROSSED
from evenhand.criteria import STANDARD, Criterion
from evenhand.metrics.bounds import counted_groups
from evenhand.metrics.counts import Counts
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import Interval, rate_interval
from evenhand.metrics.rates import pairwise_gaps
from evenhand.report.group_table import widest_class

WITH, WITHOUT, EVERYBODY = "with", "without", "everybody"
"""Whose decisions a rate counts: those with the positive label, without it, or all."""
KINDS = {
    "true_positive_rate": WITH,
    "false_positive_rate": WITHOUT,
    "selection_rate": EVERYBODY,
}


@dataclass(frozen=True)
class Share:
    """How many people of one group were decided so, of how many.

    Attributes:
        group: number of it.
        chosen, people: how many.
        interval: of the share, 95 %.
    """

    group: int
    chosen: int
    people: int
    interval: Interval

    @property
    def share(self) -> float:
        """In [0, 1]; NaN of nobody."""
        return self.interval.estimate


@dataclass(frozen=True, eq=False)
class Comparison:
    """One rate of every group.

    Attributes:
        kind: ``WITH``, ``WITHOUT`` or ``EVERYBODY``.
        shares: of the groups, in their order.
    """

    kind: str
    shares: tuple[Share, ...]


@dataclass(frozen=True, eq=False)
class Headline:
    """The two groups furthest apart.

    Attributes:
        counts: of the grouping they belong to.
        label: the number of the class that is decided.
        pair: the numbers of the two groups.
        comparisons: of all groups, one for each rate that the criterion compares.
        differences: the interval of the difference of the two, for each of them.
        few: names of groups with too few rows to be compared.
    """

    counts: Counts
    label: int
    pair: tuple[int, int]
    comparisons: tuple[Comparison, ...]
    differences: tuple[Interval, ...]
    few: tuple[str, ...]


def headline_of(every: Iterable[Counts], shown: Criterion, least: int) -> Headline | None:
    """The largest gap over groups with enough rows; None where no two can be compared.

    Args:
        every: counts of groupings.
        shown: the criterion.
        least: rows that a group, or each of its cells, must have.
    """
    criterion, best, found = _compared(shown), -1.0, None
    for counts in every:
        enough = enough_rows(counts, criterion, least)
        kept = np.flatnonzero(enough)
        gaps = pairwise_gaps(counts.table[kept], criterion)
        np.fill_diagonal(gaps, np.nan)
        if np.isfinite(gaps).any() and np.nanmax(gaps) > best:
            best = float(np.nanmax(gaps))
            one, other = np.unravel_index(int(np.nanargmax(gaps)), gaps.shape)
            found = _headline(counts, criterion, (int(kept[one]), int(kept[other])), enough)
    return found


def _compared(shown: Criterion) -> Criterion:
    """The criterion whose rates the sentences count: that shown, or the nearest that they can."""
    rates = shown.comparison.rates
    for criterion in STANDARD:
        if criterion.comparison.rates == rates:
            return criterion
    return Criterion.EQUALIZED_ODDS if shown.needs_labels else Criterion.DEMOGRAPHIC_PARITY


def enough_rows(counts: Counts, criterion: Criterion, least: int) -> npt.NDArray[np.bool_]:
    """(G,) whether each group has the rows to be compared."""
    if not criterion.by_label:
        return np.asarray(counts.effective_cells(criterion).sum(axis=1) >= max(1, least))
    return np.asarray(counted_groups(counts.effective_cells(criterion), criterion, least))


def _headline(
    counts: Counts, criterion: Criterion, pair: tuple[int, int], enough: npt.NDArray[np.bool_]
) -> Headline:
    one, other = pair
    two = replace(
        counts,
        table=counts.table[[one, other]],
        group_names=(counts.group_names[one], counts.group_names[other]),
    )
    label = widest_class(two, criterion)
    comparisons = tuple(
        comparison(counts, KINDS[rate], label)
        for rate in criterion.comparison.rates
        if rate in KINDS
    )
    few = tuple(name for name, big in zip(counts.group_names, enough, strict=True) if not big)
    pairs = max(1, int(enough.sum()) * (int(enough.sum()) - 1) // 2)
    differences = tuple(_difference(two.table, each.kind, label, pairs) for each in comparisons)
    return Headline(counts, label, (one, other), comparisons, differences, few)


def comparison(counts: Counts, kind: str, label: int) -> Comparison:
    """One rate of every group, with its interval."""
    chosen, people = _rows(counts.table, kind, label)
    low, high = rate_interval(chosen, people)
    shares = [
        Share(
            g,
            int(chosen[g]),
            int(people[g]),
            Interval(chosen[g] / people[g] if people[g] else np.nan, low[g], high[g]),
        )
        for g in range(len(people))
    ]
    return Comparison(kind, tuple(shares))


def _rows(table: Table, kind: str, label: int) -> tuple[Table, Table]:
    """How many of each group were decided so, of how many."""
    hits, mine = table[:, label, label], table[:, label].sum(axis=1)
    chosen, every = table[:, :, label].sum(axis=1), table.sum(axis=(1, 2))
    if kind == WITH:
        return hits, mine
    return (chosen - hits, every - mine) if kind == WITHOUT else (chosen, every)


def _difference(table: Table, kind: str, label: int, pairs: int) -> Interval:
    """The interval of the difference of two groups' shares: that of the parity of those rows.

    The two were found among ``pairs``, so that each has to hold at a higher level (Bonferroni's).
    """
    chosen, people = _rows(table, kind, label)
    alone = np.zeros((2, 2, 2))
    alone[:, 0, 1], alone[:, 0, 0] = chosen, people - chosen
    return gap_interval(alone, Criterion.DEMOGRAPHIC_PARITY, level=1 - 0.05 / pairs)


@dataclass(frozen=True)
class Words:
    """How people, labels and decisions are called in sentences.

    Attributes:
        label: the column of what was true.
        classes: the class names; of two the second is the positive one.
        groups: the name of a group to what its people are called.
        verdict: what a positive decision is, after a number of people: "were approved".
        positive, negative: the people with, and without, the positive label.
        decides: how decisions are made, where not by a column of them.
    """

    label: str | None
    classes: tuple[str, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    verdict: str | None = None
    positive: str | None = None
    negative: str | None = None
    decides: str = ""

    def people(self, attribute: str, group: str) -> str:
        """What the people of a group are called."""
        if group in self.groups:
            return self.groups[group]
        columns, names = attribute.split(CROSSED), group.split(CROSSED)
        if len(columns) != len(names):
            return f"people of {group}"
        known = [self.groups[name] for name in names if name in self.groups]
        others = [
            f"{column} {name}"
            for column, name in zip(columns, names, strict=True)
            if name not in self.groups
        ]
        said = ", ".join(known) or "people"
        return f"{said} with {' and '.join(others)}" if others else said

    def short(self, group: str) -> str:
        """The same in a word, for a picture."""
        return CROSSED.join(self.groups.get(name, name) for name in group.split(CROSSED))

    def whose(self, kind: str, label: int) -> str:
        """Which of them are counted: a clause with a space before it, or nothing."""
        if kind == EVERYBODY:
            return ""
        said = self.positive if kind == WITH else self.negative
        if said is not None and len(self.classes) == 2:
            return f" {said}"
        is_it = "is" if kind == WITH else "is not"
        return f" whose {self.label} {is_it} {self.classes[label]}"

    def decided(self, label: int) -> str:
        """What was decided of them."""
        if self.verdict is not None and len(self.classes) == 2:
            return self.verdict
        return f"were {self.decides or f'decided {self.classes[label]}'}"


def sentences(found: Headline | None, words: Words) -> list[str]:
    """The headline in sentences."""
    if found is None:
        return ["No two groups have enough people to be compared."]
    said = []
    attribute, names = found.counts.attribute, found.counts.group_names
    for comparison, difference in zip(found.comparisons, found.differences, strict=True):
        one, other = sorted((comparison.shares[g] for g in found.pair), key=lambda s: s.share)
        first = words.people(attribute, names[one.group])
        second = words.people(attribute, names[other.group])
        whose, out_of = words.whose(comparison.kind, found.label), _out_of(one, other)
        said.append(
            f"Of {out_of:,} {first}{whose}, {_of(one, out_of)} {words.decided(found.label)}; "
            f"of {out_of:,} {second}{whose}, {_of(other, out_of)}. {_sure(difference, out_of)}"
        )
    return said


def _out_of(one: Share, other: Share) -> int:
    """100 people, or more where a difference of fewer would not be seen."""
    apart = abs(other.share - one.share)
    return 100 if apart >= 0.01 or apart == 0 or max(one.share, other.share) >= 0.1 else 1000


def _of(share: Share, out_of: int) -> str:
    return f"{round(share.share * out_of):,}"


def _sure(difference: Interval, out_of: int) -> str:
    low, high = round(difference.low * out_of), round(difference.high * out_of)
    if difference.low > 0:
        return (
            f"Chance alone does not explain it: among many more people, the difference would most "
            f"likely be {low:,} to {high:,} of {out_of:,}."
        )
    return (
        f"Chance alone could explain it: the difference may be anything from 0 to {high:,} of "
        f"{out_of:,}."
    )
