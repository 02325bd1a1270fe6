"""The coverage study's draws as a table of cells and as a page."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evenhand._base.markdown import markdown_table
from evenhand.experiments.studies.coverage import DEFAULT_WAY, FIRST_WAY
from evenhand.heads.selection.promising import CHOSEN, NEAR_NOISE

KEYS = ["way", "population", "rows", "criterion", "bound", "confidence"]


def summary(draws: pd.DataFrame) -> pd.DataFrame:
    """One row a way × cell: coverage of the promises made, refusals, and what they cost.

    ``coverage`` is the share of promised draws whose true gap is within the bound; ``refused`` the
    share that was not promised; ``even_refused`` the share in which a model that is even and known
    beforehand would not be; ``above_floor`` whether the bound is above the mean noise floor;
    ``cheaper`` the points of true error by which a way's promised choices lie below the first
    version's, over the draws that both promise.
    """
    same = [key for key in KEYS if key != "way"] + ["draw"]
    made = draws[(draws["way"] == FIRST_WAY) & draws["promised"]]
    draws = draws.join(made.set_index(same)["true_error"].rename("first_error"), on=same)
    rows = []
    for key, part in draws.groupby(KEYS, sort=False):
        promised = part[part["promised"]]
        cheaper = (promised["first_error"] - promised["true_error"]).dropna()
        rows.append(
            {
                **dict(zip(KEYS, key, strict=True)),
                "draws": len(part),
                "refused": 1 - len(promised) / len(part),
                "coverage": promised["kept"].mean() if len(promised) else np.nan,
                "mean_true_gap": promised["true_gap"].mean() if len(promised) else np.nan,
                "error": promised["true_error"].mean() if len(promised) else np.nan,
                "cheaper": cheaper.mean() if len(cheaper) else np.nan,
                "both": len(cheaper),
                "z": part["z"].mean(),
                "floor": part["floor"].mean(),
                "even_refused": part["even_refused"].mean(),
                "above_floor": bool(part["bound"].iloc[0] > part["floor"].mean()),
            }
        )
    return pd.DataFrame(rows)


MIN_PROMISES = 20
"""A cell with fewer promises, or promises in less than half of its draws where those are fewer,
tells little of the share that is kept."""


HALF = 0.5
"""An even model is called promised where it is in so many draws."""


def overall(cells: pd.DataFrame) -> pd.DataFrame:
    """One row a confidence × way: coverage on average and at worst, refusals, what was saved.

    Averages are over cells, each counting the same.
    """
    rows = []
    for (confidence, way), part in cells.groupby(["confidence", "way"], sort=False):
        least = min(MIN_PROMISES, 0.5 * part["draws"].max())
        told = part[(1 - part["refused"]) * part["draws"] >= least]
        able = part[part["above_floor"]]
        served = part[part["even_refused"] <= HALF]
        rows.append(
            {
                "confidence": confidence,
                "way": way,
                "cells": len(told),
                "coverage": told["coverage"].mean(),
                "worst": told["coverage"].min(),
                "refused above the floor": able["refused"].mean(),
                "an even model there": able["even_refused"].mean(),
                "refused where it is promised": served["refused"].mean(),
                "error below the first version's": part["cheaper"].mean(),
                "z": told["z"].mean(),
            }
        )
    return pd.DataFrame(rows)


def page(cells: pd.DataFrame, command: str, machine: str) -> str:
    """The study as a Markdown page."""
    draws = int(cells["draws"].max())
    shown = cells[cells["way"] == DEFAULT_WAY].drop(columns=["way", "above_floor", "draws"])
    parts = [
        "# Does the bound hold?",
        f"{draws} samples a cell are drawn with replacement from populations whose truth is known: "
        "the share of promises kept (*coverage*), how often no promise was made (*refused*), and "
        f"what choices cost. Made by `{command}` on {machine}.",
        "Two ways decide the same draws: *evenhand*, the default menu under the normal quantile "
        f"of the confidence and {CHOSEN:g} (the two-sided one with fewer than 100 rows a feature), "
        f"merges of a path's heads for bounds from {NEAR_NOISE:g} noise floors on; *first "
        "version*, one path of heads, and 1.645 (1.96) where a rate has fewer than 500 rows. "
        "*Error below the first version's* is in points of true error, over the draws that both "
        f"promise. A cell counts to the coverage with at least {MIN_PROMISES} promises, or half of "
        "its draws where those are fewer.",
        "The *floor* is the bound that a perfectly even model would be promised if its counts came "
        "out even too, which they hardly ever do: just above it a promise hangs on luck whatever "
        "the rule. *An even model there* is how often one that decides as often as transfer "
        "learning, and is known beforehand so that nothing need be chosen, is refused above the "
        "floor at the normal quantile; *refused where it is promised* counts the bounds that it is "
        "promised in at least half of the draws.",
        _table(overall(cells)),
        _short(cells),
        "Every cell of the default:",
        _table(shown),
        "No promise holds under drift: the rows the model will meet must be drawn as these were. ",
    ]
    return "\n\n".join(parts) + "\n"


SHORT = 0.05
"""A cell whose promises hold by more than this less often than asked is named."""


def _short(cells: pd.DataFrame) -> str:
    """The default's cells that fall short, however few promises they have, in a sentence."""
    own = cells[(cells["way"] == DEFAULT_WAY) & (cells["coverage"] < cells["confidence"] - SHORT)]
    if own.empty:
        return f"No cell of the default falls short of its confidence by more than {SHORT:g}."
    named = [
        f"{row['population']}, {row['rows']:,} rows, {row['criterion']}<={row['bound']:g} at "
        f"{row['confidence']:g}: {row['coverage']:.3f} of "
        f"{round((1 - row['refused']) * row['draws'])} promises"
        for row in own.to_dict(orient="records")
    ]
    return (
        f"Cells of the default that fall short of their confidence by more than {SHORT:g}, those "
        f"with few promises too: {'; '.join(named)}."
    )


def _table(frame: pd.DataFrame) -> str:
    text = frame.map(lambda value: _shown(value) if isinstance(value, float) else str(value))
    return markdown_table(list(text.columns), text.to_numpy().tolist())


def _shown(value: float) -> str:
    return "n/a" if not np.isfinite(value) else f"{value:.3f}"
