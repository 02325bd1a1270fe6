"""An audit as aligned text that fits 80 columns."""

from __future__ import annotations

import numpy as np

from evenhand._base.text import columns, fitted, listed, number, plural, visible
from evenhand.auditing.grouping import Grouping
from evenhand.auditing.result import Audit
from evenhand.criteria import STANDARD
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.report.group_table import group_table
from evenhand.report.uncertainty import small_cells

BOLD, DIM, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


WIDTH = 80


SHOWN = ("base_rate", "selection_rate", "tpr", "fpr", "precision", "accuracy")


HEADS = ("base", "select", "TPR", "FPR", "prec", "acc")


MOST_LINES = 40


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
        lines += [*_groups(part), "", *_gaps(part), ""]
    remarks = audit.warnings()
    for part in audit.shown:
        for sentence in small_cells(part.counts, audit.request.min_count):
            remarks.append(f"By {part.counts.attribute}: {sentence}")
    if len(audit.classes) == 2:
        remarks.append(f"Two classes; the positive one is {audit.classes[1]}.")
    else:
        remarks.append(f"{len(audit.classes)} classes: {listed(audit.classes)}.")
    lines += [dim + line + plain for remark in remarks for line in wrapped(visible(remark))]
    return "\n".join(lines).rstrip()


def _groups(part: Grouping) -> list[str]:
    frame = group_table(part.counts, part.values)
    many = frame["class"].nunique() > 1
    name = frame["group"].map(visible)
    if many:
        name = name + " · " + frame["class"].map(visible)
    extra = [column for column in ("auc",) if column in part.values]
    room = WIDTH - 11 - 7 * (len(HEADS) + len(extra))
    width = min(room, max([5, *(columns(text) for text in name)]))
    heads = ["rows", *HEADS, *(e.upper() for e in extra)]
    lines = [
        fitted("group", width)
        + "".join(fitted(h, 10 if h == "rows" else 7, right=True) for h in heads)
    ]
    for (_, row), shown in list(zip(frame.iterrows(), name, strict=True))[:MOST_LINES]:
        cells = [f"{int(row['rows']):>10,}"]
        cells += [f"{number(row[c]):>7}" for c in (*SHOWN, *extra)]
        lines.append(fitted(shown, width) + "".join(cells))
    if len(frame) > MOST_LINES:
        lines.append(f"… and {plural(len(frame) - MOST_LINES, 'row')} more (--output, --json)")
    return lines


def _gaps(part: Grouping) -> list[str]:
    lines = []
    for criterion in STANDARD:
        gap, low, high = gap_interval(part.counts, criterion)
        ends = "" if np.isnan(low) else f"  95 % interval {number(low)} to {number(high)}"
        lines.append(f"  {criterion.symbol:<6}{criterion.words:<20}{number(gap):>7}{ends}")
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
