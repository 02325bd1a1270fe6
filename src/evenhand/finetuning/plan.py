"""What fairness will cost on a task's rows, told before it is bought."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from evenhand.criteria import STANDARD, Criterion
from evenhand.finetuning.fitting import Fitting
from evenhand.finetuning.given import stage_given
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.sentences import notes_on_rows
from evenhand.finetuning.stage import Stage
from evenhand.groups import known_groups
from evenhand.heads.selection.choice import Choice
from evenhand.heads.selection.price import PriceCurve, about, price_curve
from evenhand.heads.selection.requirements import (
    counts_of,
    require_gap,
    require_groups,
    smallest_bounds,
)
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.metrics.bounds import rows_short
from evenhand.rows import Rows

if TYPE_CHECKING:
    from torch import nn

    from evenhand.models.backbone import Backbone


@dataclass(frozen=True)
class GroupRows:
    """The rows of one group.

    Attributes:
        name: of the group.
        cells: (K,) how many with each label.
        judged: whether they are enough to be compared, by criterion.
        rows: about how many rows in all, drawn as these were, would hold enough of it; None where
            it has enough, or has none of what is missing.
    """

    name: str
    cells: tuple[int, ...]
    judged: dict[Criterion, bool]
    rows: int | None


@dataclass(frozen=True, eq=False)
class Plan:
    """What some rows can support, and what it costs.

    Attributes:
        task: what it is called.
        curves: the price curve of each criterion that was asked about.
        asked: what would be chosen for the bounds asked for together, in a sentence; None without.
        groups: every group's rows.
        min_rows: fewer rows than this in a rate are not compared.
        classes: the labels.
        attribute: what the groups are groups of.
        floors: criterion to the smallest bound that can be promised, about, before any fit.
        confidence: of a promise.
        error: what is called error.
        rows: how many there are to fit and choose on.
        known: the groups and sizes, in words.
        warnings: what makes the gaps uncertain, a sentence each.

    Example:
        >>> task = eh.tasks.table("people.csv", label="income", groups="sex")
        >>> found = eh.plan(None, task, criterion="demographic_parity")
        >>> [price.bound for price in found.curve.promised][0] >= found.curve.smallest
        True
        >>> found.save("price.svg").name
        'price.svg'
    """

    task: str
    curves: dict[Criterion, PriceCurve]
    asked: str | None
    groups: tuple[GroupRows, ...]
    min_rows: int
    classes: tuple[str, ...]
    attribute: str
    floors: dict[Criterion, float]
    confidence: float
    error: str
    rows: int
    known: str
    warnings: tuple[str, ...]

    @property
    def curve(self) -> PriceCurve:
        """The first criterion's price curve."""
        return next(iter(self.curves.values()))

    def save(self, path: Any) -> Any:
        """Write the picture (SVG, PNG or PDF) or the page (HTML), by the name's ending.

        Args:
            path: where to.

        Returns:
            The path.

        Raises:
            InputError: the ending is another one, or the folder cannot be written.
        """  # noqa: DOC502
        from evenhand.finetuning.plan_page import save

        return save(self, path)

    def __str__(self) -> str:
        from evenhand.finetuning.plan_text import text

        return text(self)


class Asked(TypedDict, total=False):
    """What :func:`plan` can be asked about, beside the data."""

    bound: Bound | dict[str, float] | list[Bound] | None
    criterion: str | Criterion
    confidence: float
    error: str
    min_rows: int
    fresh_head: bool
    merge_groups: dict[str, Sequence[str]]
    exclude_groups: Sequence[str]
    rare: str | None
    adapter: int
    depth: int | str
    plain: bool
    seed: int
    name: str


def plan(
    model: nn.Module | Backbone | None,
    *data: Any,
    groups: str = "group",
    classes: Sequence[str] | None = None,
    head: str | None = None,
    processor: Any = None,
    progress: bool = False,
    **asked: Unpack[Asked],
) -> Plan:
    """Tell what each bound would cost, and which rows are too few: one path, no test row read.

    Args:
        model, data, groups, classes, head, processor, progress: as :func:`evenhand.finetune` takes
            them.
        asked: options of :func:`evenhand.finetune`: ``bound`` (told beside those that span the
            curve) or ``criterion``, ``confidence``, ``error``, ``min_rows``, ``fresh_head``,
            ``merge_groups``, ``exclude_groups``, ``rare``, ``adapter``, ``depth``,
            ``plain``, ``seed``, ``name``.

    Returns:
        The price curves, and what is too small to judge. It prints as a table.

    Raises:
        InputError: data of another form, or an option that cannot be.
        ModelError: no head, or an ambiguous one.

    Example:
        >>> task = eh.tasks.table("people.csv", label="income", groups="sex")
        >>> found = eh.plan(None, task, bound=eh.Bound("demographic_parity", 0.3))
        >>> found.rows, round(found.floors[eh.Criterion.DEMOGRAPHIC_PARITY], 2)
        (750, 0.05)
        >>> print(found)  # doctest: +ELLIPSIS
        750 rows to fit and choose on: ...
    """  # noqa: DOC502
    stage, request = stage_given(
        model,
        data,
        asked,
        groups=groups,
        classes=classes,
        head=head,
        processor=processor,
        progress=progress,
    )
    return plan_stage(stage, request)


def plan_stage(
    stage: Stage, request: FinetuneRequest, *, on_fit: Callable[[], None] | None = None
) -> Plan:
    """The plan of a stage's rows to fit and choose on; its test rows are not read.

    Args:
        stage: see :mod:`evenhand.finetuning.stage`.
        request: what would be asked of a run; without bounds its criterion is planned for.
        on_fit: called after each fit of the path.

    Raises:
        InputError: one class or group only, or no two groups can be compared.
    """  # noqa: DOC502
    rule, rows = request.rule(), stage.problem.development
    require_groups(rows, "train")
    require_gap(rows, rule.criteria)
    fitting = Fitting.of(stage.problem, request)
    fair = fitting.fit(rule, on_fit=on_fit)
    limits = {bound.criterion: bound.limit for bound in rule.bounds}
    curves = {
        criterion: price_curve(
            fair.selection,
            rule,
            criterion,
            [limits[criterion]] if criterion in limits else [],
        )
        for criterion in rule.criteria
    }
    return Plan(
        stage.task,
        curves,
        _verdict(fair.choice),
        _group_rows(rows, rule),
        rule.min_rows,
        tuple(rows.classes),
        rows.groups.attribute,
        _floors(rows, rule),
        rule.confidence,
        str(rule.error),
        len(rows),
        known_groups(rows.groups),
        tuple(dict.fromkeys(notes_on_rows(stage, request, rule))),
    )


def _verdict(choice: Choice) -> str | None:
    if choice.promised is None:
        return None
    return f"promised; chosen would be {choice.reason}" if choice.promised else choice.reason


def _floors(rows: Rows, rule: Rule) -> dict[Criterion, float]:
    by_all = {
        criterion: Rule(criterion=criterion, confidence=rule.confidence, min_rows=rule.min_rows)
        for criterion in STANDARD
    }
    return {criterion: smallest_bounds(rows, one)[criterion] for criterion, one in by_all.items()}


def _group_rows(rows: Rows, rule: Rule) -> tuple[GroupRows, ...]:
    counts = counts_of(rows)
    short = {c: rows_short(counts.effective_cells(c), c, rule.min_rows) for c in rule.criteria}
    most = np.maximum.reduce(list(short.values()))
    return tuple(
        GroupRows(
            name,
            tuple(int(size) for size in counts.cells[place]),
            {criterion: bool(times[place] <= 1) for criterion, times in short.items()},
            about(len(rows) * most[place]) if 1 < most[place] < np.inf else None,
        )
        for place, name in enumerate(counts.group_names)
    )
