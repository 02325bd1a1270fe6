"""What the rows can and cannot support, said before and after fitting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand._base.text import listed
from evenhand.criteria import Criterion
from evenhand.heads.selection.candidates import Candidates
from evenhand.heads.selection.choice import Choice
from evenhand.heads.selection.label_noise import flipped_share
from evenhand.heads.selection.requirements import counts_of
from evenhand.heads.selection.rule import MIN_ROWS, Rule
from evenhand.metrics.bounds import counted_groups
from evenhand.metrics.counts import Counts
from evenhand.rows import Rows

NEAR_CONSTANT = 0.99


COINCIDENCE = 0.5


TELLING = 0.005
"""Points of accuracy below this do not show at two decimals."""


NOISE_LEVEL, NOISE_SHARE = 0.001, 0.03
"""Labels are called noisy where more than this share looks flipped, and by chance so many would
with no more than this probability."""


def row_warnings(rows: Rows, criteria: Sequence[Criterion], min_rows: int = MIN_ROWS) -> list[str]:
    """What about the rows makes gaps uncertain or meaningless, a sentence each.

    Args:
        rows: all that is fitted and chosen on.
        criteria: by which gaps are read.
        min_rows: the rows a rate must be a share of to be compared.
    """
    counts = counts_of(rows)
    found = _small_groups(counts, criteria, min_rows)
    correlation = coincidence(rows)
    if correlation > COINCIDENCE:
        found.append(
            f"label and {rows.groups.attribute} nearly coincide (correlation {correlation:.2f}): "
            "even a perfect classifier has a large demographic-parity gap, so that gap says "
            "nothing here; read the gap of the false-positive rates"
        )
    return found


def unknown_groups(rows: Rows, *, left_out: bool = False) -> list[str]:
    """How many rows have no known group, where a task has not told it of all its rows.

    Args:
        rows: all that is fitted and chosen on.
        left_out: groups were left out as asked, so that some of these rows have one.
    """
    missing = int((~rows.groups.known).sum())
    if not missing:
        return []
    which = " or one that was left out" if left_out else ""
    return [
        f"{missing:,} rows have no known {rows.groups.attribute}{which}: they train the task and "
        "are left out of every gap"
    ]


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


def result_warnings(
    rows: Rows, families: Sequence[Candidates], choice: Choice, rule: Rule
) -> list[str]:
    """What about the fits and the choice a reader should know, a sentence each."""
    found = []
    family, index = choice.family, choice.index
    # Others that were stopped early were judged by the decisions they give, and were not chosen.
    if family is not None and index is not None and not families[family].fit(index).converged:
        found.append("the chosen fit did not converge: further passes would change it a little")
    found += choice_warnings(families, choice, rule)
    noisy = noise_of_labels(rows, families[0])
    if noisy is not None:
        found.append(noisy)
    return found


def choice_warnings(families: Sequence[Candidates], choice: Choice, rule: Rule) -> list[str]:
    """What about the choice a reader should know, a sentence each, from its own figures."""
    found = []
    if choice.old_ignored is not None:
        found.append(f"the old head is nothing to compare with: {choice.old_ignored}")
    if choice.family is not None and choice.index is not None:
        total = families[choice.family].totals[choice.index]
        share = total.sum(axis=0).max() / max(1, total.sum())
        if share > NEAR_CONSTANT:
            found.append(
                f"the chosen model decides the same for {share:.1%} of the rows: its gaps say "
                "little, since it hardly decides"
            )
    if choice.cost > rule.max_cost:
        found.append(
            f"the chosen model costs {choice.cost:.2f} points of error over transfer learning "
            f"with its threshold tuned (cross-fitted), more than the {rule.max_cost:g} that would "
            "be paid unasked"
        )
    if choice.constant_accuracy - choice.accuracy >= TELLING:
        found.append(
            f"always deciding the most frequent label would be right more often "
            f"({choice.constant_accuracy:.2f} %) than the chosen model ({choice.accuracy:.2f} %)"
        )
    if choice.levels_down:
        found.append(
            "the chosen model makes every group worse than transfer learning does (levelling "
            "down): its gap is smaller because nobody is served better"
        )
    return found


def noise_of_labels(rows: Rows, family: Candidates) -> str | None:
    """Whether labels look flipped at random, and how sure that is; two classes.

    Args:
        rows: what ``family``'s first head was fitted on.
        family: the head's own path; its first strength is transfer learning.
    """
    if len(rows.classes) != 2:
        return None
    logits = np.asarray(family.fits[0].logits(rows.features), np.float64)
    share, chance = flipped_share(logits[:, 1] - logits[:, 0], rows.labels)
    if chance >= NOISE_LEVEL or share <= NOISE_SHARE:
        return None
    return (
        f"the labels look noisy: where the model is surest they contradict it as if about "
        f"{share:.0%} of them were flipped (calibration test, p = {chance:.1g}). Outcomes that "
        "stay open however clear the case look the same, and these rows cannot tell which it is; "
        "noise that hits one group harder makes gaps that no training can even out"
    )


def _small_groups(counts: Counts, criteria: Sequence[Criterion], min_rows: int) -> list[str]:
    """The groups that steer nothing, each told once with what it lacks."""
    asked = list(dict.fromkeys(criteria))
    if not asked:
        return []
    counted = {one: counted_groups(counts.effective_cells(one), one, min_rows) for one in asked}
    by_label = any(one.by_label for one in asked)
    found = []
    for place, (name, cells) in enumerate(zip(counts.group_names, counts.cells, strict=True)):
        if by_label:
            few = [
                f"{int(size):,} rows with label {label!r}"
                for size, label in zip(cells, counts.class_names, strict=True)
                if size < min_rows
            ]
        else:
            few = [f"{cells.sum():,} rows"] if cells.sum() < min_rows else []
        if few:
            without = [one for one in asked if not counted[one][place]]
            found.append(
                f"group {name!r} has {listed(few)}, fewer than {min_rows:,}: "
                f"{_steers(without, asked)}"
            )
    return found


def _steers(without: Sequence[Criterion], asked: Sequence[Criterion]) -> str:
    """What a group of few rows steers, that is not compared by the criteria ``without``."""
    if not without:
        return "those rates are reported, and not compared"
    if len(without) == len(asked):
        return "it is reported, and steers neither the penalty nor the choice nor the promise"
    return f"by {listed(without)} it is reported, and steers neither the choice nor the promise"
