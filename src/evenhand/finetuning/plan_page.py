"""A plan as a picture or a page."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from evenhand._base.files import write_atomically
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.finetuning.plan_text import NAMES, lead, tables, verdict
from evenhand.heads.selection.price import PriceCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from evenhand.finetuning.plan import Plan

PAGES = ("html", "htm")


def save(plan: Plan, path: str | Path) -> Path:
    """Write a plan as SVG, PNG, PDF or HTML by the name's ending.

    Raises:
        InputError: the ending is another one, or the folder cannot be written.
    """  # noqa: DOC502
    path = Path(path)
    if require_kind(path) in PAGES:
        return write_atomically(path, page(plan))
    from evenhand.report.plots.style import save as save_picture

    return save_picture(_drawn(list(plan.curves.values()), plan.error), path)


def require_kind(path: Path) -> str:
    """The kind of file that a plan is written as at ``path``.

    Raises:
        InputError: it can be written as no file of that ending.
    """
    from evenhand.report.plots.style import FORMATS

    kind = path.suffix.lstrip(".").lower()
    if kind not in (*FORMATS, *PAGES):
        raise InputError(
            f"cannot write {path.name}: the name must end in {', '.join((*FORMATS, PAGES[0]))}"
        )
    return kind


def page(plan: Plan) -> str:
    """One self-contained page: the picture, the tables and the notes."""
    from evenhand.report.environment import environment

    return (
        environment()
        .get_template("plan.html.j2")
        .render(
            task=plan.task,
            lead=lead(plan),
            tables=tables(plan),
            pictures=[_encoded(_drawn([curve], plan.error)) for curve in plan.curves.values()],
            verdict=None if plan.asked is None else verdict(plan),
            warnings=plan.warnings,
        )
    )


def _drawn(curves: list[PriceCurve], error: str) -> Axes:
    """The curves side by side."""
    from matplotlib.figure import Figure

    from evenhand.report.plots.price import price

    figure = Figure(figsize=(6.0 * len(curves), 4.0), layout="constrained")
    every = figure.subplots(1, len(curves), squeeze=False)[0]
    for curve, ax in zip(curves, every, strict=True):
        promised = curve.promised
        least = None
        if curve.criterion is Criterion.DEMOGRAPHIC_PARITY:
            least = [one.least_error for one in promised]
        price(
            [one.bound for one in promised],
            [one.error for one in promised],
            ax,
            symbol=curve.criterion.symbol,
            error=NAMES.get(error, error),
            gaps=[one.gap for one in promised],
            wrong=None if error == "accuracy" else [100 - one.accuracy for one in promised],
            least=least,
        )
        ax.axhline(curve.transfer.error, color="black", linewidth=0.8, linestyle="-.")
        ax.set_title("dash-dotted: transfer learning, its threshold tuned", fontsize="small")
    return every[0]


def _encoded(ax: Axes) -> str:
    from evenhand.report.plots.style import drawing

    return base64.b64encode(drawing(ax, "svg")).decode()
