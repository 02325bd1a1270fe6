"""Plots of a run and of its parts: ``plot(data, ax=None) -> ax``, on the user's axes or new ones.

Nothing here touches pyplot or the backend: new axes belong to a plain ``Figure``, which saves
itself (``save(ax, "frontier.svg")``). Marks differ in shape, line or hatch as well as in colour.
"""

from __future__ import annotations

from evenhand.report.plots.arrays import (
    alpha_sweep,
    calibration,
    importance,
    representation_pca,
    score_distributions,
)
from evenhand.report.plots.price import price
from evenhand.report.plots.runs import before_after, frontier
from evenhand.report.plots.style import save

__all__ = [
    "alpha_sweep",
    "before_after",
    "calibration",
    "frontier",
    "importance",
    "price",
    "representation_pca",
    "save",
    "score_distributions",
]
