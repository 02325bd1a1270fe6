"""Axes, marks and names of every plot."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evenhand._base.files import write_atomically
from evenhand._base.text import visible
from evenhand.errors import InputError
from evenhand.report.charts import COLOURS

MARKERS = ("o", "s", "^", "D", "v", "X", "P", "*")


LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (6, 3)))


HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo")


FORMATS = ("svg", "png", "pdf")


def axes_or_new(ax: Axes | None, width: float = 6.0, height: float = 4.0) -> Axes:
    """``ax``, or the axes of a new figure of its own."""
    if ax is not None:
        return ax
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure.add_subplot()


def marker(place: int) -> str:
    """The shape of the ``place``-th mark."""
    return MARKERS[place % len(MARKERS)]


def colour(place: int) -> str:
    """The colour of the ``place``-th mark."""
    return COLOURS[place % len(COLOURS)]


def literal(name: object, most: int = 40) -> str:
    """A name as matplotlib shows it as it is: no mathematics, not hidden, not too long."""
    text = visible(name)
    if len(text) > most:
        text = text[: most - 1] + "…"
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def tidy(ax: Axes, x: str, y: str) -> Axes:
    """Label the axes and take away what says nothing."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def save(ax: Axes, path: str | Path) -> Path:
    """Save the figure of ``ax`` as SVG, PNG or PDF by the name's ending, whole or not at all.

    The same data give the same bytes: no date is written, and SVG ids do not change.

    Raises:
        InputError: the ending is another one, or the folder cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise InputError(f"cannot save {path.name}: the name must end in {', '.join(FORMATS)}")
    return write_atomically(path, drawing(ax, kind))


def drawing(ax: Axes, kind: str) -> bytes:
    """The figure of ``ax`` as a file's bytes; the same data give the same.

    Raises:
        InputError: the axes belong to no figure.
    """
    figure = ax.get_figure()
    if figure is None:
        raise InputError("the axes belong to no figure")
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "evenhand"}), warnings.catch_warnings():
        # a name may hold a sign the font lacks; a box is drawn for it
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.figure.savefig(buffer, format=kind, dpi=150, metadata=undated)
    return buffer.getvalue()
