"""What the rows can and cannot support, said before and after fitting."""

from __future__ import annotations

import numpy as np

from evenhand.criteria import Criterion
from evenhand.heads.gaps import MIN_CELL as MIN_PENALTY_CELL
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.select import MIN_CELL, Choice
from evenhand.metrics.counts import Counts
from evenhand.rows import Rows

NEAR_CONSTANT = 0.99


COINCIDENCE = 0.5


NOISY_SHARE = 0.05


NOISY_ACCURACY = 0.9


def row_warnings(rows: Rows, criteria: tuple[Criterion, ...]) -> list[str]:
    """What about the rows makes gaps uncertain or meaningless, a sentence each."""
    found = []
    counts = Counts.of(rows.labels, rows.labels, rows.groups, rows.classes)
    missing = int((~rows.groups.known).sum())
    if missing:
        found.append(
            f"{missing:,} rows have no known {rows.groups.attribute}: they train the task and are "
            "left out of every gap"
        )
    by_label = any(c is not Criterion.DEMOGRAPHIC_PARITY for c in criteria)
    for g, name in enumerate(counts.group_names):
        for y, label in enumerate(counts.class_names):
            size = counts.cells[g, y]
            if not by_label:
                continue
            if not size:
                found.append(
                    f"group {name!r} has 0 rows with label {label!r}: its rate there is undefined "
                    "(n/a); give more rows or use demographic_parity"
                )
            elif size < MIN_CELL:
                what = (
                    "left out of the penalty"
                    if size < MIN_PENALTY_CELL
                    else "too few for a promise"
                )
                found.append(f"group {name!r} has {size} rows with label {label!r}: {what}")
        if not by_label and counts.sizes[g] < MIN_CELL:
            found.append(f"group {name!r} has {counts.sizes[g]} rows: too few for a promise")
    correlation = coincidence(rows)
    if correlation > COINCIDENCE:
        found.append(
            f"label and {rows.groups.attribute} nearly coincide (correlation {correlation:.2f}): "
            "even a perfect classifier has a large demographic-parity gap, so that gap says "
            "nothing here; read the gap of the false-positive rates"
        )
    return found


def coincidence(rows: Rows) -> float:
    """The largest absolute correlation between being in a group and having a label."""
    known = rows.groups.known
    labels, codes = rows.labels[known], rows.groups.codes[known]
    highest = 0.0
    for y in range(len(rows.classes)):
        for g in range(rows.groups.number):
            one, other = labels == y, codes == g
            if 0 < one.sum() < len(one) and 0 < other.sum() < len(other):
                highest = max(highest, abs(float(np.corrcoef(one, other)[0, 1])))
    return highest


def result_warnings(rows: Rows, families: tuple[Candidates, ...], choice: Choice) -> list[str]:
    """What about the fits and the choice a reader should know, a sentence each."""
    found = []
    slow = sum(not fit.converged for family in families for fit in family.fits)
    if slow:
        found.append(f"{slow} fits did not converge; their figures are not final")
    if choice.family is not None and choice.index is not None:
        total = families[choice.family].totals[choice.index]
        share = total.sum(axis=0).max() / max(1, total.sum())
        if share > NEAR_CONSTANT:
            found.append(
                f"the chosen model decides the same for {share:.1%} of the rows: its gaps are "
                "small because it hardly decides"
            )
    surest = surest_accuracy(rows, families[0])
    if surest is not None and surest < NOISY_ACCURACY:
        found.append(
            f"of the {NOISY_SHARE:.0%} of rows the model is surest of, only {surest:.0%} have the "
            "label it gives: the labels look noisy, and noise that hits one group harder makes "
            "gaps that no training can even out"
        )
    return found


def surest_accuracy(rows: Rows, family: Candidates) -> float | None:
    """The share of right labels among the surest decisions of the unpenalised head; two classes."""
    if len(rows.classes) != 2:
        return None
    logits = family.fits[0].logits(rows.features)
    margin = logits[:, 1] - logits[:, 0]
    right = []
    for sign, label in ((1, 1), (-1, 0)):
        surest = np.argsort(-sign * margin)[: max(1, int(NOISY_SHARE * len(margin) / 2))]
        right.append(rows.labels[surest] == label)
    return float(np.concatenate(right).mean())
