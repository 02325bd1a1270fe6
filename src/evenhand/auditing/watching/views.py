"""What a watch says: on a terminal, on a page with its time line, to machines as OpenMetrics."""

from __future__ import annotations

from typing import Any

from evenhand._base.text import number, plural, visible
from evenhand.auditing.watching.judge import BROKEN, KEPT, OPEN
from evenhand.auditing.watching.watch import Watch, criteria_of
from evenhand.report.environment import environment

STATES = {KEPT: 0, OPEN: 1, BROKEN: 2}
NOTABLE, NEW = 0.05, 0.01
"""A share is said in words where it moved by so much; where it is of values never seen."""
SHIFTS = {
    "": "{what} {name}: {now:.1%} of the rows, {then:.1%} in the run's test rows",
    "missing": "{name}: {now:.1%} missing, {then:.1%} in the run's training rows",
    "unseen": "{name}: {now:.1%} are values that the run never saw",
}


def as_text(watch: Watch) -> str:
    """A line for each bound, and what moved."""
    look = watch.last
    lines = [f"look {look['look']}: {plural(look['rows'], 'new row')}"]
    for criterion in criteria_of(look):
        lines += sentences(criterion.words, criterion.symbol, look["bounds"][str(criterion)])
    if look["left_out"]:
        lines.append(
            f"{plural(look['left_out'], 'row')} left out: no decision, or a group that the run "
            "does not know"
        )
    if watch.cut:
        lines.append("the log's last line had been cut by a kill, and was written over")
    return "\n".join([*lines, *watch.notes, *moved(look)])


def sentences(words: str, symbol: str, bound: dict[str, Any]) -> list[str]:
    """What is said of one bound."""
    ends = f"{number(bound['low'])} to {number(bound['high'])}"
    found = f"{words} ({symbol}) at most {bound['limit']:g}: {bound['state']}"
    if bound["since"]:
        found += f" since {bound['since']}"
    gap = number(bound["gap"])
    said = [f"{found}; {gap} so far, {ends} at any look, over {plural(bound['rows'], 'row')}"]
    recent = bound["window"]
    if recent["rows"] != bound["rows"]:
        said.append(
            f"  in the newest window: {number(recent['gap'])}, "
            f"{number(recent['low'])} to {number(recent['high'])}, "
            f"over {plural(recent['rows'], 'row')}"
        )
    return said


def moved(look: Any) -> list[str]:
    """Shares that are no longer those of the run's test rows, a sentence each."""
    said = []
    for what, shares in look["shifts"].items():
        for name, share in shares.items():
            if abs(share["now"] - share["then"]) >= (NEW if what == "unseen" else NOTABLE):
                said.append(
                    SHIFTS.get(what, SHIFTS[""]).format(what=what, name=visible(name), **share)
                )
    return said


def as_metrics(watch: Watch) -> str:
    """The newest look as OpenMetrics text."""
    look = watch.last
    metrics: dict[str, tuple[str, list[tuple[dict[str, str], Any]]]] = {
        "evenhand_watch_state": ("0 kept, 1 cannot tell yet, 2 broken.", []),
        "evenhand_watch_gap": ("The gap as it is counted.", []),
        "evenhand_watch_gap_low": ("The least that the gap may be, at any look.", []),
        "evenhand_watch_gap_high": ("The most that the gap may be, at any look.", []),
        "evenhand_watch_limit": ("The bound.", []),
        "evenhand_watch_rows": ("Rows counted for the bound.", []),
    }
    for name, bound in look["bounds"].items():
        labels = {"criterion": name}
        values = {
            "state": STATES[bound["state"]],
            "gap": bound["gap"],
            "gap_low": bound["low"],
            "gap_high": bound["high"],
            "limit": bound["limit"],
            "rows": bound["rows"],
        }
        for key, value in values.items():
            metrics[f"evenhand_watch_{key}"][1].append((labels, value))
    shares = []
    for what, shifts in look["shifts"].items():
        for name, share in shifts.items():
            shares += [({"of": what, "name": name, "when": k}, v) for k, v in share.items()]
    metrics["evenhand_watch_share"] = ("Shares now, and then on the run's test rows.", shares)
    lines = []
    for metric, (words, samples) in metrics.items():
        lines += [f"# TYPE {metric} gauge", f"# HELP {metric} {words}"]
        for labels, value in samples:
            told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            lines.append(f"{metric}{{{told}}} {'NaN' if value is None else value}")
    return "\n".join([*lines, "# EOF", ""])


def _escaped(text: str) -> str:
    return visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


MOST_DRAWN = 120
"""Looks on the time line; of more, the newest, and some of those before."""


def as_page(watch: Watch) -> str:
    """A page with the time line of every bound."""
    step = max(1, len(watch.looks) // MOST_DRAWN)
    looks = list(watch.looks)[::-1][::step][::-1]
    lines = []
    for criterion in criteria_of(watch.last):
        bounds = [look["bounds"][str(criterion)] for look in looks]
        top = max(bound["limit"] for bound in bounds) * 2
        highest = min(criterion.highest, max(top, *(b["gap"] or 0 for b in bounds)) * 1.1)
        lines.append(
            {
                "title": f"{criterion.words}, at most {bounds[-1]['limit']:g}",
                "said": sentences(criterion.words, criterion.symbol, bounds[-1]),
                "top": f"{highest:.2g}",
                "limit": _height(bounds[-1]["limit"], highest),
                "marks": [
                    {
                        "x": round(100 * (at + 0.5) / len(bounds), 3),
                        "low": _height(bound["low"], highest),
                        "high": _height(bound["high"], highest),
                        "gap": None if bound["gap"] is None else _height(bound["gap"], highest),
                        "state": {BROKEN: "broken", KEPT: "kept"}.get(bound["state"], "open"),
                    }
                    for at, bound in enumerate(bounds)
                ],
                "rows": [
                    (look["look"], look["time"], look["rows"], bound)
                    for look, bound in zip(looks[::-1], bounds[::-1], strict=True)
                ],
            }
        )
    page = environment("evenhand.auditing.watching").get_template("watch.html.j2")
    return page.render(
        watch=watch, lines=lines, moved=moved(watch.last), number=number, state=watch.state
    )


def _height(value: float, highest: float) -> float:
    """Where a gap stands, in % from the top."""
    return round(100 * (1 - min(value, highest) / highest), 3)
