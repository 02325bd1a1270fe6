"""What the rows can and cannot support, said before and after fitting."""

from __future__ import annotations

import numpy as np

from evenhand.bounds import critical_value, noise_floor
from evenhand.criteria import Criterion
from evenhand.crossfit import Candidates
from evenhand.distributed import ALONE, World
from evenhand.errors import InputError
from evenhand.gaps import MIN_CELL as MIN_PENALTY_CELL
from evenhand.groups import Groups
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import gap
from evenhand.rows import Rows
from evenhand.select import MIN_CELL, Choice, Rule

NEAR_CONSTANT = 0.99
COINCIDENCE = 0.5
NOISY_SHARE = 0.05
NOISY_ACCURACY = 0.9


def require_groups(rows: Rows, split: str) -> None:
    """Refuse rows on which no gap is defined.

    Raises:
        InputError: fewer than two groups have rows.
    """
    sizes = rows.groups.sizes
    if rows.groups.number < 2:
        only = f"one group only, {rows.groups.names[0]!r}" if rows.groups.number else "no group"
        raise InputError(
            f"{split} has {only} of {rows.groups.attribute}: a gap needs two; "
            "give another group column"
        )
    for name, size in zip(rows.groups.names, sizes, strict=True):
        if not size:
            raise InputError(
                f"group {name!r} has 0 rows in {split}; give rows of it, or leave it out of the "
                "groups"
            )


def require_gap(rows: Rows, criteria: tuple[Criterion, ...], world: World = ALONE) -> None:
    """Refuse criteria by which no two groups of the rows (of all processes) can be compared.

    Raises:
        InputError: each rate is defined in one group at most, so that there is nothing to even out
            and whatever is fitted would look even.
    """
    counts = world.merge(Counts.of(rows.labels, rows.labels, rows.groups, rows.classes))
    for criterion in criteria:
        if np.isnan(gap(counts.table, criterion)):
            cells = "; ".join(
                f"{name}: "
                + ", ".join(f"{n} {c!r}" for n, c in zip(row, rows.classes, strict=True))
                for name, row in zip(rows.groups.names, counts.cells, strict=True)
            )
            raise InputError(
                f"no two groups of {rows.groups.attribute} can be compared by {criterion}: each "
                f"needs rows with the same labels, found {cells or 'no group'}; give more rows or "
                "other groups, or use demographic_parity"
            )


def plan(rows: Rows, rule: Rule) -> dict[Criterion, float]:
    """The smallest bound the rows could support by each criterion, before anything is fitted.

    The upper bound of decisions that are right at the base rates and have no gap: the noise floor.
    """
    table = _base_rate_table(rows)
    cells = table.sum(axis=-1)
    z = critical_value(rule.confidence, cells, len(rows), rows.features.shape[1])
    return {criterion: noise_floor(table, criterion, z) for criterion in rule.criteria}


def _base_rate_table(rows: Rows) -> np.ndarray:
    """(G, K, K) counts were decisions drawn at each label's overall confusion of 3 in 4."""
    k = len(rows.classes)
    cells = Counts.of(rows.labels, rows.labels, rows.groups, rows.classes).cells
    confusion = np.full((k, k), 0.25 / max(k - 1, 1))
    np.fill_diagonal(confusion, 0.75)
    return np.asarray(np.round(cells[..., None] * confusion)).astype(np.int64)


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


def known_groups(groups: Groups) -> str:
    """The groups and their sizes in a few words."""
    sizes = zip(groups.names, groups.sizes, strict=True)
    return ", ".join(f"{name} {size:,}" for name, size in sizes)
