"""What an audit was asked, what it found and what is doubtful of it, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evenhand._base.text import listed, number, plural
from evenhand.criteria import Criterion
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.undefined import partial_gap, why_undefined
from evenhand.report.uncertainty import small_cells

if TYPE_CHECKING:
    from evenhand.auditing.result import Audit


def asked(audit: Audit) -> str:
    """The question."""
    request = audit.request
    how = (
        f"decisions in {request.prediction}"
        if request.prediction
        else f"scores in {request.score}, decided at {request.threshold:g},"
    )
    against = f"against {request.label} " if request.label else ""
    return (
        f"How do the {how} {against}fall on groups of {listed(request.groups)}, "
        f"over {plural(audit.used, 'row')}?"
    )


def found(audit: Audit, criterion: Criterion) -> str:
    """The largest gap, or the lowest level."""
    gaps = {name: gap_interval(counts, criterion) for name, counts in audit.counts.items()}
    defined = {name: gap for name, gap in gaps.items() if np.isfinite(gap.estimate)}
    if not defined:
        return "No two groups could be compared."
    worst = max if criterion.kind == "gap" else min
    name = worst(defined, key=lambda n: defined[n].estimate)
    gap = defined[name]
    kind = criterion.value.replace("_", "-")
    what = f"largest {kind} gap" if criterion.kind == "gap" else f"lowest {kind}"
    said = f"The {what} is {number(gap.estimate)}, by {name}"
    if np.isnan(gap.low):
        return f"{said}; there are too many groups for an interval."
    clear = (
        ""
        if gap.low > 0 or criterion.kind == "level"
        else " (the data do not contradict a gap of 0)"
    )
    return f"{said}; 95 % interval {number(gap.low)} to {number(gap.high)}{clear}."


def warnings(audit: Audit) -> list[str]:
    """What was left out or is doubtful, a sentence each."""
    of_groups, of_all = ": left out of its groups.", ": left out of everything."
    said = [*audit.notes, *audit.apart, *_undefined(audit)]
    said += [
        f"{plural(n, 'row')} have no {column}"
        f"{of_groups if column in audit.request.groups else of_all}"
        for column, n in audit.missing.items()
    ]
    said += [
        f"By {attribute}, {plural(n, 'group')} with fewer than {audit.request.suppress_below} rows "
        "in all or with a label are not shown; gaps are over the groups shown."
        for attribute, n in audit.suppressed.items()
    ]
    said += _turned(audit)
    if audit.scores_outside and audit.request.label:
        said.append(
            f"{plural(audit.scores_outside, 'score')} outside 0 to 1: not probabilities, so no "
            "calibration is given."
        )
    if not audit.scores_exact:
        said.append("Scores were rounded (to one part in 4,096 or coarser) to bound memory.")
    return said


def small(audit: Audit) -> list[str]:
    """Which cells hold so few rows that their figures are rough."""
    return [
        f"By {part.counts.attribute}: {sentence}"
        for part in audit.shown
        for sentence in small_cells(part.counts, audit.request.min_count)
    ]


def _turned(audit: Audit) -> list[str]:
    """Whether the scores look like those of the other class."""
    said = []
    for part in audit.shown:
        auc = part.values.get("auc", np.empty(0))
        known = auc[np.isfinite(auc)]
        if len(known) and (known < 0.5).all():
            said.append(
                f"By {part.counts.attribute}: the AUC is below .5 in every group, so that high "
                f"scores go with {audit.classes[0]}: are they scores of {audit.classes[0]}, or "
                "is the other class the positive one (--positive)?"
            )
    return said[:1]


def _undefined(audit: Audit) -> list[str]:
    """What the gaps leave out, since some group has no rows of a label."""
    said, criterion = [], Criterion.EQUALIZED_ODDS
    for attribute, counts in audit.counts.items():
        undefined = why_undefined(counts, criterion)
        if undefined:
            least = number(float(partial_gap(counts.table, criterion)))
            said.append(
                f"By {attribute}: {listed(undefined)}, so that its rate there is n/a and "
                f"left out; {criterion.symbol} over what is defined is at least {least}."
            )
    return said
