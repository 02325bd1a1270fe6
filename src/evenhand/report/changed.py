"""What a choice changed, for how many people, and whether anybody pays for it: page 1 of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evenhand._base.text import listed
from evenhand.metrics.counts import Counts
from evenhand.report.about import About
from evenhand.report.people import Words, comparison, headline_of
from evenhand.report.record import Record, Run

Z = 1.959963984540054
PEOPLE = 1000


def sentences(run: Run) -> list[str]:
    """Before and now, who is decided otherwise, and who is decided worse; none of other runs."""
    if run.command != "finetune" or run.after is None or not run.before.counts.labelled:
        return []
    return [*_before_and_now(run, run.after), *_changed(run), *_worse(run)]


def _words(run: Run) -> Words:
    """How the run's people, labels and decisions are called."""
    about = About.of(run.config.get("about") or {})
    return Words(
        str(run.config.get("label") or "label"),
        run.before.counts.class_names,
        about.groups,
        about.decided,
        about.positive,
        about.negative,
    )


def _before_and_now(run: Run, after: Record) -> list[str]:
    """The two groups that were furthest apart before, and how they fare now."""
    from evenhand.report.uncertainty import SMALL

    before = run.before.counts
    found = headline_of([before], run.criterion, SMALL)
    if found is None:
        return ["No two groups have enough people to be compared."]
    words, said = _words(run), []
    for old in found.comparisons:
        new = comparison(after.counts, old.kind, found.label)
        one, other = sorted(found.pair, key=lambda g: old.shares[g].share)
        whose, verdict = words.whose(old.kind, found.label), words.decided(found.label)
        first, second = (
            words.people(before.attribute, before.group_names[g]) for g in (one, other)
        )
        counts = [round(100 * c.shares[g].share) for g in (one, other) for c in (old, new)]
        said.append(
            f"Of 100 {first}{whose}, {counts[0]} {verdict} before, and {counts[1]} now; of 100 "
            f"{second}{whose}, {counts[2]} before, and {counts[3]} now."
        )
    return said


@dataclass(frozen=True, eq=False)
class Paired:
    """The decisions of the same test rows by two models.

    Attributes:
        old, new: (N,) 1 where the positive class is decided.
        label: (N,) 1 where it is true.
        group: (N,) the number of the group, -1 where it is unknown.
    """

    old: npt.NDArray[np.int64]
    new: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    group: npt.NDArray[np.int64]


def paired(run: Run) -> Paired | None:
    """Both models' decisions row by row; None where the run does not have them."""
    old, new = run.before, run.after
    if run.test is None or new is None or old.scores is None or new.scores is None:
        return None
    rows = run.test
    decided = [(np.asarray(scores) > 0.5).astype(np.int64) for scores in (old.scores, new.scores)]
    for record, decisions in zip((old, new), decided, strict=True):
        if len(decisions) != len(rows.labels):
            return None
        counts = Counts.of(rows.labels, decisions, rows.groups, rows.classes)
        if not np.array_equal(counts.table, record.counts.table):
            return None  # such as a method that draws its decisions
    group = np.where(rows.groups.known, rows.groups.codes, -1)
    return Paired(decided[0], decided[1], np.asarray(rows.labels), group)


def _changed(run: Run) -> list[str]:
    """For how many of the test rows the decision is another."""
    both, classes = paired(run), run.before.counts.class_names
    rows = f"{len(run.before.counts):,} people"
    if both is None:
        least = round(float(_least_changed(run)))
        return [f"Of the {rows} in the test, at least {least:,} are decided otherwise than before."]
    gained = int(((both.old == 0) & (both.new == 1)).sum())
    lost = int(((both.old == 1) & (both.new == 0)).sum())
    names, parts = [_words(run).short(name) for name in run.before.counts.group_names], []
    for g, name in enumerate(names[:8]):
        own = both.group == g
        moved = int((both.old != both.new)[own].sum())
        parts.append(f"{name} {moved:,} of {int(own.sum()):,}")
    more = f", and {len(names) - 8} more groups" if len(names) > 8 else ""
    return [
        f"Of the {rows} in the test, {gained + lost:,} are decided otherwise than before: "
        f"{gained:,} are now decided {classes[1]}, {lost:,} no longer ({'; '.join(parts)}{more})."
    ]


def _least_changed(run: Run) -> float:
    """The fewest rows that can have changed, from the counts alone."""
    before = np.concatenate([run.before.counts.table, run.before.counts.unknown[None]])
    after = run.after.counts if run.after is not None else run.before.counts
    now = np.concatenate([after.table, after.unknown[None]])
    return float(np.abs(now - before).sum() / 2)


def _worse(run: Run) -> list[str]:
    """Levelling down: whether groups are nearer only because some are decided worse."""
    from evenhand.report.uncertainty import SMALL

    before, both = run.before.counts, paired(run)
    after = run.after.counts if run.after is not None else before
    shares, better, worse = [], [], []
    for g, name in enumerate(map(_words(run).short, before.group_names)):
        rows = float(before.sizes[g])
        if rows < SMALL:
            continue
        old, new = (float(np.trace(c.table[g])) / rows for c in (before, after))
        shares.append(f"{name} {round(PEOPLE * old):,} before, {round(PEOPLE * new):,} now")
        spread = _spread(both, g, (old, new), rows)
        if new - old < -spread:
            worse.append(name)
        elif new > old:
            better.append(name)
    if not shares:
        return []
    said = f"Decided right, of {PEOPLE:,} people: {'; '.join(shares[:8])}."
    if worse and not better:
        return [
            f"{said} Levelling down: no group is decided better than before, and {listed(worse)} "
            "worse, more than chance explains. Groups are nearer because decisions got worse."
        ]
    if worse:
        return [
            f"{said} {listed(worse)} pay for it: they are decided worse, more than chance explains."
        ]
    return [f"{said} No group is decided worse by more than chance explains."]


def _spread(both: Paired | None, group: int, shares: tuple[float, float], rows: float) -> float:
    """How much a share of right decisions may change by chance: half a 95 % interval.

    Of the same rows decided twice only those count whose decision is right once; McNemar's.
    """
    if both is None:
        old, new = shares
        return Z * float(np.sqrt((old * (1 - old) + new * (1 - new)) / rows))
    own = both.group == group
    change = (both.new == both.label)[own].astype(int) - (both.old == both.label)[own].astype(int)
    return Z * float(np.sqrt(max(float((change**2).mean() - change.mean() ** 2), 0) / rows))
