"""An audit as aligned text that fits 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenhand._base.text import columns, fitted, listed, number, plural, visible
from evenhand.auditing.against import sentence
from evenhand.auditing.grouping import Grouping
from evenhand.auditing.ratios import reference_of, selected_columns
from evenhand.auditing.result import Audit
from evenhand.auditing.sentences import small
from evenhand.criteria import Criterion
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.undefined import partial_gap, why_undefined
from evenhand.report.group_table import group_columns
from evenhand.report.people import enough_rows

if TYPE_CHECKING:
    import pandas as pd

BOLD, DIM, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


WIDTH = 80


SHOWN = {
    "base_rate": "base",
    "selection_rate": "select",
    "tpr": "TPR",
    "fpr": "FPR",
    "precision": "prec",
    "accuracy": "acc",
    "auc": "AUC",
}


RATE_WORDS = {"selection_rate": "select", "tpr": "TPR", "fpr": "FPR", "accuracy": "acc"}


MOST_LINES = 40
MARK, ROUGH = "~", "~ few rows: its rates are rough, and it is no part of the headline"


def as_text(audit: Audit, *, color: bool = False) -> str:
    """The group tables, the gaps with 95 % intervals and what is doubtful.

    Args:
        audit: what was found.
        color: bold headings, dim remarks; for terminals only.
    """
    bold, dim, plain = (BOLD, DIM, PLAIN) if color else ("", "", "")
    lines: list[str] = []
    for part in audit.shown:
        lines += [f"{bold}{fitted('By ' + part.counts.attribute, WIDTH).rstrip()}{plain}"]
        ratios = not part.counts.labelled and len(audit.classes) == 2
        few = ~enough_rows(part.counts, audit.request.shown, audit.request.min_count)
        table = _ratios(audit, part, few) if ratios else _groups(part, few)
        lines += [
            *table,
            *([f"{dim}{ROUGH}{plain}"] if few.any() else []),
            "",
            *_gaps(part, audit.request.criteria),
            "",
        ]
    for title, note, frame in audit.comparisons():
        if title.startswith("Groups of"):
            lines += [f"{bold}{fitted(visible(title), WIDTH).rstrip()}{plain}"]
            lines += [*_comparisons(frame), *(dim + line + plain for line in wrapped(note)), ""]
    if audit.against:
        lines += [f"{bold}Changes{plain}"]
        for change in audit.against:
            told = f"{change.criterion.symbol} by {visible(change.attribute)}: {sentence(change)}"
            lines += wrapped(told)
        lines += [""]
    remarks = [*audit.warnings(), *small(audit)]
    if len(audit.classes) == 2:
        remarks.append(f"Two classes; the positive one is {audit.classes[1]}.")
    else:
        remarks.append(f"{len(audit.classes)} classes: {listed(audit.classes)}.")
    lines += [dim + line + plain for remark in remarks for line in wrapped(visible(remark))]
    return "\n".join(lines).rstrip()


def _groups(part: Grouping, few: npt.NDArray[np.bool_]) -> list[str]:
    table = group_columns(part.counts, part.values)
    many = len(set(table["class"])) > 1
    rough = dict(zip(part.counts.group_names, few, strict=True))
    names = [
        MARK * int(rough[group]) + visible(group) + (f" · {visible(one)}" if many else "")
        for group, one in zip(table["group"], table["class"], strict=True)
    ]
    shown = [(column, head) for column, head in SHOWN.items() if column in table]
    return _table(table, names, shown)


def _ratios(audit: Audit, part: Grouping, few: npt.NDArray[np.bool_]) -> list[str]:
    """How many of each group were decided positive, and what share that is of the reference's."""
    reference = reference_of(part.counts, audit.request.reference)
    table = selected_columns(part.counts, reference)
    shown = [("rate", "select"), ("low", "from"), ("high", "to"), ("impact_ratio", "ratio")]
    shown += [("ratio_low", "from"), ("ratio_high", "to")]
    names = [MARK * int(rough) + visible(g) for g, rough in zip(table["group"], few, strict=True)]
    return _table(table, names, shown)


def _table(
    table: Mapping[str, Sequence[Any]], names: list[str], shown: list[tuple[str, str]]
) -> list[str]:
    room = WIDTH - 11 - 7 * len(shown)
    width = min(room, max([5, *(columns(text) for text in names)]))
    heads = [fitted("rows", 10, right=True), *(fitted(h, 7, right=True) for _, h in shown)]
    lines = [fitted("group", width) + "".join(heads)]
    for at, name in enumerate(names[:MOST_LINES]):
        cells = [f"{int(table['rows'][at]):>10,}"]
        cells += [f"{number(table[column][at]):>7}" for column, _ in shown]
        lines.append(fitted(name, width) + "".join(cells))
    if len(names) > MOST_LINES:
        lines.append(f"… and {plural(len(names) - MOST_LINES, 'row')} more (--output, --json)")
    return lines


def _comparisons(frame: pd.DataFrame) -> list[str]:
    """Differences and ratios to the reference, each with its interval."""
    many = frame["class"].nunique() > 2
    named = [
        visible(f"{row['group']}: {RATE_WORDS.get(row['rate'], row['rate'])}")
        + (f" {visible(row['class'])}" if many and row["class"] else "")
        for _, row in frame.iterrows()
    ]
    width = min(30, max([5, *map(columns, named)]))
    heads = ("differ", "from", "to", "ratio", "from", "to")
    lines = [fitted("", width) + "".join(fitted(head, 8, right=True) for head in heads)]
    keys = [f"{what}{end}" for what in ("difference", "ratio") for end in ("", "_low", "_high")]
    for (_, row), name in list(zip(frame.iterrows(), named, strict=True))[:MOST_LINES]:
        lines.append(fitted(name, width) + "".join(f"{number(row[key]):>8}" for key in keys))
    if len(frame) > MOST_LINES:
        lines.append(f"… and {plural(len(frame) - MOST_LINES, 'row')} more (--output, --json)")
    return lines


def _gaps(part: Grouping, criteria: Sequence[Criterion]) -> list[str]:
    lines = []
    signs = max(6, *(len(criterion.symbol) + 1 for criterion in criteria))
    names = max(20, *(len(criterion.words) + 2 for criterion in criteria))
    for criterion in criteria:
        if criterion.needs_labels and not part.counts.labelled:
            continue
        gap, low, high = gap_interval(part.counts, criterion)
        ends = "" if np.isnan(low) else f"  95 % interval {number(low)} to {number(high)}"
        shown = f"{number(gap):>7}{ends}"
        if why_undefined(part.counts, criterion):
            edge = "least" if criterion.kind == "gap" else "most"
            shown = f"at {edge} {number(float(partial_gap(part.counts.table, criterion)))}"
        lines.append(f"  {criterion.symbol:<{signs}}{criterion.words:<{names}}{shown}")
    return lines


def wrapped(text: str, width: int = WIDTH) -> list[str]:
    """``text`` in lines of at most ``width`` columns."""
    lines = [""]
    for word in text.split(" "):
        while columns(word) > width:
            lines.append(word[: width // 2])
            word = word[width // 2 :]
        if lines[-1] and columns(lines[-1]) + 1 + columns(word) > width:
            lines.append("  " + word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return [line for line in lines if line]
