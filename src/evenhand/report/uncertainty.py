"""What is uncertain in a run, a sentence each."""

from __future__ import annotations

import numpy as np

from evenhand._base.text import listed, plural
from evenhand.criteria import Criterion
from evenhand.metrics.counts import Counts
from evenhand.metrics.undefined import undefined_rates
from evenhand.report.record import UNCONVERGED, Run

SMALL = 100


def doubts(run: Run) -> list[str]:
    """Small cells, undefined rates, unknown groups, how many seeds, and the run's own warnings."""
    found = [warning[:1].upper() + warning[1:] for warning in run.warnings]
    found += _of_counts((run.after or run.before).counts, run.criterion)
    found += [
        f"{record.method} {record.setting}: {UNCONVERGED}; its figures are not final."
        for record in run.records
        if not record.converged and run.command != "compare"
    ]
    found.append(note_of_seeds(run))
    found.append(
        "Intervals are 95 %: of rates by Wilson, of gaps from the signed differences, of errors by "
        "resampling the counted cells. They measure the luck of which rows were drawn, not a "
        "change of the population."
    )
    return found


def _of_counts(counts: Counts, criterion: Criterion) -> list[str]:
    found = small_cells(counts)
    undefined = undefined_rates(np.asarray(counts.table), criterion)
    if undefined:
        found.append(
            f"{plural(undefined, 'rate')} could not be computed for want of rows: shown as n/a, "
            "and left out of the largest gap."
        )
    missing = float(np.asarray(counts.unknown).sum())
    if missing:
        found.append(
            f"{plural(round(missing), 'row')} of {len(counts):,} have no known group: "
            "they count in the error, and in no gap."
        )
    return found


def small_cells(counts: Counts, small: int = SMALL) -> list[str]:
    """A sentence where the cells group × label are too small for the intervals to be trusted."""
    cells = np.asarray(counts.effective_cells(Criterion.EQUALIZED_ODDS))
    if not counts.labelled:
        few = [
            f"{group} ({plural(round(float(rows)), 'row')})"
            for group, rows in zip(counts.group_names, counts.sizes, strict=True)
            if rows < small
        ]
        return [
            f"{plural(len(few), 'group')} with fewer than {small} rows: {listed(few)}. Their rates "
            "are rough."
        ][: len(few)]
    few = [
        f"{group} with {label} ({plural(round(float(cells[g, k])), 'row')})"
        for g, group in enumerate(counts.group_names)
        for k, label in enumerate(counts.class_names)
        if cells[g, k] < small
    ]
    if not few:
        return []
    return [
        f"{plural(len(few), 'cell')} of a group and a label hold fewer than {small} rows: "
        f"{listed(few)}. Their rates, and gaps that use them, are rough: the 95 % intervals "
        "hold the truth less often than they say."
    ]


def note_of_seeds(run: Run) -> str:
    """How many seeds stand behind the figures."""
    seeds = len({record.seed for record in run.records})
    if seeds <= 1:
        return (
            "One seed: another split or start would give other numbers; the intervals do not "
            "include that. Run several seeds (--seeds 10) to see it."
        )
    pooled = (
        " The groups' rates are over the test rows of all seeds together; a row that several seeds "
        "drew counts several times, so their intervals are too narrow."
    )
    return f"{seeds} seeds: means over them, ± one standard deviation where marked.{pooled}"


LIMITS = (
    "Whether the labels are right. If past decisions were unfair, agreeing with them evenly is "
    "still unfair.",
    "Why groups differ. A gap may come from the model, from the data, from how labels were taken, "
    "or from the world; the numbers are the same.",
    "What happens to people. Rates are averages over groups: a person, or a smaller group inside "
    "one shown, can fare differently.",
    "What tomorrow brings. Everything was measured on rows like the test rows; if the population "
    "or the use changes, measure again.",
    "What is lawful or acceptable. No threshold here is a legal standard, and an even model can "
    "still be a wrong one to use.",
)
"""What the metrics cannot tell."""
