"""A comparison as aligned text that fits 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand._base.text import MISSING, columns, fitted, number, seconds, visible
from evenhand.criteria import Criterion
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import Interval, error_interval
from evenhand.report.record import UNCONVERGED, Record
from evenhand.report.views import settings, spread

DIM, BOLD, PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"


WIDTH, FIGURE = 80, 9


MARK = "!"


DEFAULT = (Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY)


def comparison(
    records: Sequence[Record],
    criteria: Sequence[str | Criterion] = DEFAULT,
    *,
    color: bool = False,
    level: float = 0.95,
) -> str:
    """One line a method and setting: error, gaps, accuracy, trainable parameters, seconds.

    A method with several settings has a line of its own above them. With one seed a second line
    gives the 95 % intervals from the test rows; with several, every figure is mean ± standard
    deviation over the seeds.

    Args:
        records: what was measured, in the order to show.
        criteria: the gaps to show, one or two.
        color: dim the intervals with terminal codes; for terminals only.
        level: of the intervals.

    Returns:
        Lines of at most 80 columns, without a final newline.
    """
    asked = [Criterion.parse(criterion) for criterion in criteria][:2]
    together = settings(records)
    several = any(len(mine) > 1 for mine in together.values())
    bold, dim, plain = (BOLD, DIM, PLAIN) if color else ("", "", "")
    room = WIDTH - (1 + FIGURE) * (1 + len(asked)) - 7 - 8 - 7
    by_method: dict[str, list[str]] = {}
    for method, setting in together:
        by_method.setdefault(method, []).append(setting)
    names = {
        (method, setting): f"{method} {setting}".strip() if len(own) == 1 else f"  {setting}"
        for method, own in by_method.items()
        for setting in own
    }
    width = min(room, max([6, *(columns(visible(name)) for name in names.values())]))
    head = [fitted("method", width), fitted("Err %", FIGURE, right=True)]
    head += [fitted(c.symbol, FIGURE, right=True) for c in asked]
    head += [fitted(name, w, right=True) for name, w in (("acc %", 6), ("params", 7), ("sec", 6))]
    lines = [f"{bold}{' '.join(head)}{plain}"]
    unsure = False
    for method, own in by_method.items():
        if len(own) > 1:
            lines.append(fitted(method, WIDTH).rstrip())
        for setting in own:
            mine = together[method, setting]
            error, gaps = _figures(mine, asked, level)
            name = names[method, setting]
            if not all(record.converged for record in mine):
                name, unsure = f"{MARK} {name.strip()}", True
            cells = [fitted(name, width), _main(error, 2, several)]
            cells += [_main(g, 3, several) for g in gaps]
            accuracy = spread([r.accuracy for r in mine]).estimate
            took = spread([r.seconds for r in mine]).estimate
            cells.append(fitted(number(accuracy, 2), 6, right=True))
            cells.append(fitted(f"{max(r.trainable_parameters for r in mine):d}", 7, right=True))
            cells.append(fitted(seconds(took), 6, right=True))
            lines.append(" ".join(cells))
            if not several:
                ends = [" " * width, _ends(error, 1), *(_ends(g, 2) for g in gaps)]
                lines.append(f"{dim}{' '.join(ends)}{plain}")
    if unsure:
        lines.append(f"{MARK} {UNCONVERGED}: these figures are not final")
    return "\n".join(lines)


def _figures(
    mine: Sequence[Record], criteria: Sequence[Criterion], level: float
) -> tuple[Interval, list[Interval]]:
    if len(mine) > 1:
        return spread([r.error for r in mine]), [spread([r.gap(c) for r in mine]) for c in criteria]
    counts = mine[0].counts
    return error_interval(counts, level=level), [
        gap_interval(counts, c, level=level) for c in criteria
    ]


def _main(value: Interval, digits: int, several: bool) -> str:
    """An estimate, and its spread over seeds with as many digits as fit."""
    text = number(value.estimate, digits)
    if several and np.isfinite(value.estimate):
        around = (number(value.high - value.estimate, d) for d in range(digits, -1, -1))
        text += "±" + next((a for a in around if len(text) + 1 + len(a) <= FIGURE), "…")
    return fitted(text, FIGURE, right=True)


def _ends(value: Interval, digits: int) -> str:
    undefined = not np.isfinite(value.low)
    text = MISSING if undefined else f"{number(value.low, digits)}–{number(value.high, digits)}"
    return fitted(text, FIGURE, right=True)
