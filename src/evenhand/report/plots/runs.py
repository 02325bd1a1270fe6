"""Plots of a run: the trade-off, and each group before and after."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from evenhand.metrics.intervals import Interval
from evenhand.report import views
from evenhand.report.plots.style import axes_or_new, colour, literal, marker, tidy
from evenhand.report.record import Run


def frontier(run: Run, ax: Axes | None = None) -> Axes:
    """Every method and setting: error in % against the gap, with intervals; the chosen one ringed.

    Args:
        run: a run with two or more records; its bound, if any, is drawn as a dashed line.
        ax: the axes to draw on; None makes new ones.
    """
    ax = axes_or_new(ax)
    methods: dict[str, int] = {}
    for point in views.points(run):
        place = methods.setdefault(point.method, len(methods))
        label = literal(point.method) if place not in _drawn(ax) else None
        (x, *_), (y, *_) = point.gap, point.error
        ax.errorbar(
            x,
            y,
            xerr=_around(point.gap),
            yerr=_around(point.error),
            marker=marker(place),
            color=colour(place),
            markeredgecolor="black",
            markeredgewidth=0.7,
            markersize=9 if point.chosen or point.before else 6,
            elinewidth=1.4 if point.chosen else 0.6,
            linestyle="none",
            label=label,
            gid=f"method-{place}",
        )
        if point.chosen:
            ax.plot(
                x,
                y,
                marker="o",
                markersize=18,
                color="black",
                fillstyle="none",
                linestyle="none",
                label="chosen",
            )
    path = [c for c in views.candidates(run) if not c["measured"]]
    if path:
        ax.plot(
            [c["x"] for c in path],
            [c["y"] for c in path],
            marker=".",
            color="black",
            linewidth=0.6,
            linestyle=":",
            label="the path the bound chooses from",
        )
    bound = views.asked_bound(run)
    if bound is not None:
        ax.axvline(bound, color="black", linestyle="--", linewidth=1, label="bound")
    ax.legend(fontsize="small", frameon=False)
    if run.criterion.kind == "gap":
        ax.set_xlim(left=0)
    return tidy(ax, run.criterion.axis, "error, % (100 − weighted F1)")


def _drawn(ax: Axes) -> set[int]:
    """The places of the methods that already have a label in the legend."""
    ids = [container.get_label() and container[0].get_gid() for container in ax.containers]
    return {int(gid.removeprefix("method-")) for gid in ids if gid}


def _around(interval: Interval) -> list[list[float]] | None:
    estimate, low, high = interval
    if not np.isfinite([estimate, low, high]).all():
        return None
    return [[max(estimate - low, 0.0)], [max(high - estimate, 0.0)]]


def before_after(run: Run, ax: Axes | None = None) -> Axes:
    """The rates the criterion compares, for each group, before (hollow) and after (filled).

    Args:
        run: the run; without an ``after`` only one mark is drawn.
        ax: the axes to draw on; None makes new ones.
    """
    label, bars = views.bars(run)
    ax = axes_or_new(ax, 6.0, 1.2 + 0.42 * len(bars))
    kinds = [("before", 0.16 if run.after else 0.0), ("after", -0.16)]
    for kind, shift in kinds if run.after else kinds[:1]:
        values = [getattr(bar, kind) for bar in bars]
        places = len(bars) - 1 - np.arange(len(bars)) + shift
        rates = np.array([value.estimate for value in values])
        ends = np.array([[v.estimate - v.low, v.high - v.estimate] for v in values]).T
        first = kind == "before"
        ax.errorbar(
            rates,
            places,
            xerr=np.clip(np.nan_to_num(ends), 0, None),
            marker="o" if first else "s",
            color="#8a3b00" if first else "#005a8f",
            markerfacecolor="white" if first else "#005a8f",
            linestyle="none",
            label=kind if run.after else None,
        )
    several = len({bar.rate for bar in bars}) > 1
    short = {"True-positive rate": "TPR", "False-positive rate": "FPR"}
    names = [
        f"{literal(bar.group)} · {short[bar.rate]}" if several else literal(bar.group)
        for bar in bars
    ]
    ax.set_yticks(len(bars) - 1 - np.arange(len(bars)), names)
    ax.set_xlim(0, None)
    if run.after:
        ax.legend(fontsize="small", frameon=False)
    rate = "rate" if several else bars[0].rate.lower()
    return tidy(ax, f"{rate} of {literal(label)}, with 95 % intervals", "")
