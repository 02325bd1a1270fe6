"""A comparison as aligned text that fits 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.criteria import Criterion
from evenhand.metrics.intervals import Interval, error_interval, gap_interval
from evenhand.record import Record
from evenhand.report.text import columns, fitted, number, seconds, visible
from evenhand.report.views import settings, spread

DIM, BOLD, PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"
WIDTH = 80
DEFAULT = (Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY)


def comparison(
    records: Sequence[Record],
    criteria: Sequence[str | Criterion] = DEFAULT,
    *,
    color: bool = False,
    level: float = 0.95,
) -> str:
    """One line a method and setting: error, gaps, accuracy, trainable parameters, seconds.

    With one seed a second line gives the 95 % intervals from the test rows; with several, every
    figure is mean ± standard deviation over the seeds.

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
    gap_width = 9
    names = WIDTH - (10 + (1 + gap_width) * len(asked) + 7 + 8 + 7) - 1
    setting_width = max([7, *(columns(visible(s)) for _, s in together)])
    method_width = max([6, *(columns(visible(m)) for m, _ in together)])
    method_width = min(method_width, max(names - setting_width, names // 2))
    setting_width = min(setting_width, names - method_width)
    head = [fitted("method", method_width), fitted("setting", setting_width)]
    head += [fitted("Err %", 9, right=True)]
    head += [fitted(c.symbol, gap_width, right=True) for c in asked]
    head += [fitted(name, w, right=True) for name, w in (("acc %", 6), ("params", 7), ("sec", 6))]
    lines = [" ".join(head).rstrip()]
    if color:
        lines[0] = f"{BOLD}{lines[0]}{PLAIN}"
    for (method, setting), mine in together.items():
        error, gaps = _figures(mine, asked, level)
        cells = [fitted(method, method_width), fitted(setting, setting_width)]
        cells.append(fitted(_main(error, 2, several), 9, right=True))
        cells += [fitted(_main(g, 3, several), gap_width, right=True) for g in gaps]
        cells.append(fitted(number(spread([r.accuracy for r in mine]).estimate, 2), 6, right=True))
        cells.append(fitted(f"{max(r.trainable_parameters for r in mine):d}", 7, right=True))
        cells.append(fitted(seconds(spread([r.seconds for r in mine]).estimate), 6, right=True))
        lines.append(" ".join(cells).rstrip())
        if not several:
            ends = [
                " " * (method_width + setting_width + 1),
                fitted(_ends(error, 1), 9, right=True),
            ]
            ends += [fitted(_ends(g, 2), gap_width, right=True) for g in gaps]
            line = " ".join(ends)
            lines.append(f"{DIM}{line}{PLAIN}" if color else line)
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
    if not several or number(value.estimate) == "n/a":
        return number(value.estimate, digits)
    return f"{number(value.estimate, digits)}±{number(value.high - value.estimate, digits)}"


def _ends(value: Interval, digits: int) -> str:
    if number(value.low) == "n/a":
        return "n/a"
    return f"{number(value.low, digits)}–{number(value.high, digits)}"
