"""The picture of a plan: what each bound costs."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from evenhand.report.plots.style import LINES, axes_or_new, colour, literal, marker, tidy


def price(
    bounds: Sequence[float],
    errors: Sequence[float],
    ax: Axes | None = None,
    *,
    symbol: str,
    error: str = "error",
    gaps: Sequence[float] = (),
    wrong: Sequence[float] | None = None,
    least: Sequence[float] | None = None,
) -> Axes:
    """The error of what each bound is answered with, in %, and the gap that is expected of it.

    Args:
        bounds: that can be promised, ascending.
        errors: of what each is answered with, in %.
        ax: the axes to draw on; None makes new ones.
        symbol: of the gap.
        error: what is called error.
        gaps: the gap expected of each; from it to the bound is the margin that the rows leave.
        wrong: the share of wrong decisions of each, in %, where the error is another figure.
        least: the share of wrong decisions of any classifier within each bound, in %.
    """
    ax = axes_or_new(ax)
    for bound, gap, value in zip(bounds, gaps, errors, strict=False):
        ax.plot([gap, bound], [value, value], color=colour(0), linewidth=0.8, alpha=0.6)
    if gaps:
        ax.plot(gaps, errors, "|", color=colour(0), label=f"{symbol} expected of it")
    shares = [(errors, literal(error)), (wrong, "wrong decisions")]
    shares.append((least, "wrong decisions of any classifier, at least"))
    for place, (values, label) in enumerate(shares):
        if values is not None:
            ax.plot(
                bounds,
                values,
                linestyle=LINES[place],
                marker=marker(place),
                markersize=5,
                markeredgecolor="black",
                markeredgewidth=0.5,
                color=colour(place),
                label=label,
            )
    ax.set_xlim(left=0)
    ax.legend(fontsize="small", frameon=False)
    return tidy(ax, f"bound on {symbol} that can be promised", "%")
