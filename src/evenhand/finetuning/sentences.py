"""What a run was asked for and what came of it, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evenhand._base.text import listed, plain_number
from evenhand.criteria import Criterion, in_words
from evenhand.finetuning.fitting import family_of, reads_deep, reads_trained
from evenhand.groups import known_groups
from evenhand.heads.moved_layer import MovedLayer
from evenhand.heads.selection.soundness import constant_accuracy
from evenhand.heads.selection.warnings import row_warnings, unknown_groups
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import gap

if TYPE_CHECKING:
    from evenhand.finetuning.request import FinetuneRequest
    from evenhand.finetuning.stage import Stage
    from evenhand.heads.selection.fair_head import FairHead
    from evenhand.heads.selection.rule import Rule
    from evenhand.report.record import Record
    from evenhand.rows import Rows


def asked(stage: Stage, rule: Rule, strength: float | None) -> str:
    """What a run was asked for, in a sentence."""
    rows = stage.problem.development
    what = f"Fine-tune {stage.backbone.name} on {stage.task} ({len(rows):,} rows"
    groups = f"; groups of {rows.groups.attribute}: {known_groups(rows.groups)})"
    if strength is not None:
        aim = f"with the {rule.criterion.words} penalty at strength {strength:g}"
    elif rule.bounds:
        limits = " and ".join(in_words(b.criterion, b.limit) for b in rule.bounds)
        aim = f"with {limits} on new rows, at confidence {rule.confidence:g}"
    else:
        aim = (
            f"with the {rule.criterion.best} {rule.criterion.symbol} that costs at most "
            f"{rule.max_cost:g} points of error"
        )
    return f"{what}{groups} {aim}."


def notes_on_rows(stage: Stage, request: FinetuneRequest, rule: Rule) -> list[str]:
    """What about the rows to fit and choose on a reader should know, each told once."""
    rows = stage.problem.development
    unknown = []
    if not stage.tells_unknown_groups:
        unknown = unknown_groups(rows, left_out=request.regrouping.leaves_out)
    return [*stage.notes, *unknown, *row_warnings(rows, rule.criteria, rule.min_rows)]


def decided(
    fair: FairHead, before: Record, after: Record, rule: Rule, more: Sequence[str] = ()
) -> str:
    """What it chose and why, whether that is promised, and what the test rows say of it.

    Args:
        fair: the choice.
        before, after: tuned transfer learning and the choice on the test rows.
        rule: what was chosen by.
        more: what a chosen head reads besides its own input.
    """
    gaps = listed(
        _gaps(before, after, criterion, counted_names(fair, after, criterion), rule)
        for criterion in rule.criteria
    )
    promise = {
        True: " The bound is promised for new rows of the same distribution.",
        False: " The bound is NOT promised.",
        None: "",
    }[fair.choice.promised]
    constant = 100 * constant_accuracy(after.counts.total)
    return (
        f"Chosen: {_in_words(fair, more)} ({fair.choice.reason}).{promise} On the test rows "
        f"{gaps}, the error {after.error:.2f} against {before.error:.2f}, and "
        f"{after.accuracy:.2f} % are right against {before.accuracy:.2f} % (always deciding the "
        f"most frequent label: {constant:.2f} %)."
    )


def counted_names(fair: FairHead, record: Record, criterion: Criterion) -> tuple[str, ...]:
    """The groups that have the rows to be compared by ``criterion``."""
    counted = fair.choice.counted[criterion]
    return tuple(n for n, yes in zip(record.counts.group_names, counted, strict=True) if yes)


def _gaps(
    before: Record, after: Record, criterion: Criterion, counted: tuple[str, ...], rule: Rule
) -> str:
    """The gaps over the groups that count, and over all where those are more."""
    every = (
        f"{plain_number(after.gap(criterion))}, against {plain_number(before.gap(criterion))} for "
        "transfer learning with its threshold tuned"
    )
    if len(counted) == len(after.counts.group_names):
        return f"{criterion.symbol} is {every}"
    if len(counted) < 2:
        return f"{criterion.symbol} is {every}, over all groups, none of which count"
    those = [after.counts.group_names.index(name) for name in counted]
    own, other = (
        plain_number(float(gap(one.counts.table[those], criterion))) for one in (after, before)
    )
    return (
        f"{criterion.symbol} over groups of at least {rule.min_rows:,} rows a cell is {own}, "
        f"against {other} for transfer learning with its threshold tuned (over all "
        f"{len(after.counts.group_names)} groups {plain_number(after.gap(criterion))} against "
        f"{plain_number(before.gap(criterion))})"
    )


def class_notes(
    fair: FairHead, other: FairHead | None, rule: Rule, name: str, *, plain: bool
) -> list[str]:
    """What it costs to keep to the model's class, or would; none where nothing else is chosen.

    Args:
        fair: the choice.
        other: what is chosen where the class is not kept, or where it is; None: nothing else.
        rule: what both were chosen by.
        name: of the model.
        plain: the class was kept.
    """
    if other is None:
        return []
    kept, deep = (fair, other) if plain else (other, fair)
    if not reads_deep(family_of(deep)):
        return []
    criterion = rule.criteria[0]
    figures = [
        f"{criterion.symbol} {one.choice.gaps[criterion]:.3f} at an error of {one.choice.error:.2f}"
        + ("" if one.choice.promised is not False else ", not promised")
        for one in (kept, deep)
    ]
    why = (
        f"--plain keeps to {name}'s own class"
        if plain
        else f"the model is a DeepReadout around {name}; --plain would keep to its own class"
    )
    return [
        f"{why}: {figures[0]}, where a head that reads the stages before its own input too has "
        f"{figures[1]} (cross-fitted)"
    ]


def _in_words(fair: FairHead, more: Sequence[str] = ()) -> str:
    if fair.fit is None or fair.strength is None:
        return "the old head, unchanged"
    what = "an adapter and a head" if fair.adapter else "a head"
    if isinstance(fair.adapter, MovedLayer):
        what = "the last hidden layer and the head"
    if reads_trained(family_of(fair)):
        what += " on the model trained below it"
    if more:
        what += f" that reads {listed(more)} too,"
    shift = f", offset {fair.offset:+.2f}" if fair.offset else ""
    how = "tilted to the worst by" if fair.tilted else "at strength"
    return f"{what} {how} {fair.strength:.3g}{shift}"


def floor_notes(fair: FairHead, rule: Rule) -> list[str]:
    """How small a bound these rows support for a model like transfer learning."""
    return [
        f"the noise floor of {criterion.symbol} for a model like transfer learning is {floor:.3f} "
        f"on these rows: deciding as often as it does and with no gap at all, it would have that "
        f"{criterion.bounded_by} bound at confidence {rule.confidence:g}"
        for criterion, floor in fair.choice.floors.items()
        if floor > 0
    ]


def empty_cells(test: Rows) -> list[str]:
    """The cells of group and label that no test row is in."""
    cells = Counts.of(test.labels, test.labels, test.groups, test.classes)
    return [
        f"group {name!r} has 0 test rows with label {label!r}: its rate there is n/a"
        for g, name in enumerate(cells.group_names)
        for y, label in enumerate(cells.class_names)
        if not cells.cells[g, y]
    ]
