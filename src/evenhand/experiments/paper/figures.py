"""The paper's figures drawn from our numbers, with the printed ones where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evenhand._base.seals import read_arrays
from evenhand.experiments.compare.statistics import mean_interval
from evenhand.experiments.paper.measured import METRICS, SYMBOLS
from evenhand.experiments.paper.sources import ADULT
from evenhand.experiments.paper.tables import Row
from evenhand.experiments.paper.variants import ALPHAS
from evenhand.experiments.paper.verdicts import Array
from evenhand.fisher.sums import GroupFisher
from evenhand.groups import Groups
from evenhand.report.plots import alpha_sweep, importance, representation_pca
from evenhand.report.plots.style import HATCHES, colour, literal, tidy


def bars(rows: Sequence[Row], frame: pd.DataFrame, title: str) -> Axes:
    """Err, ΔEO and ΔDP of each row with 95 % intervals; printed values as black lines (Fig. 4)."""
    figure = Figure(figsize=(10.5, 0.6 + 0.32 * len(rows)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    places = len(rows) - 1 - np.arange(len(rows))
    for panel, metric in zip(panels, METRICS, strict=True):
        for place, row in zip(places, rows, strict=True):
            mean, low, high = mean_interval(row.side.values(frame, metric).to_numpy())
            if not np.isfinite(mean):
                continue
            ends = [[mean - low], [high - mean]] if np.isfinite(low) else None
            kind = 2 if row.ours else 0 if "the method" in row.name else 1
            panel.barh(
                place,
                mean,
                0.7,
                xerr=ends,
                color=colour(kind),
                hatch=HATCHES[kind],
                edgecolor="black",
                linewidth=0.6,
            )
            said = row.printed.get(metric)
            if said is not None:
                panel.plot(
                    [said.mean] * 2, [place - 0.42, place + 0.42], color="black", linewidth=3
                )
        tidy(panel, f"{SYMBOLS[metric]}{' (%)' if metric == 'error' else ''}", "")
    panels[0].set_yticks(places, [literal(row.name, 60) for row in rows])
    figure.suptitle(title, fontsize="medium")
    axes: Axes = panels[0]
    return axes


def sweep(frame: pd.DataFrame) -> Axes:
    """Err and gaps over alpha (Fig. 5)."""
    rows = frame[(frame["source"] == ADULT.key) & (frame["method"] == "alpha")]
    rows = rows.assign(alpha=rows["setting"].astype(float))
    return alpha_sweep(rows[rows["alpha"].isin(ALPHAS)])


def diagonal(fisher: GroupFisher) -> Axes:
    """The head's Fisher importance by group (Fig. 3), at one seed."""
    return importance(fisher)


def read_representation(path: Path) -> tuple[dict[str, Array], Groups]:
    """What :func:`evenhand.experiments.paper.figure_arrays.save_representation` kept."""
    arrays, notes = read_arrays(path)
    codes = arrays.pop("groups")
    names = tuple(notes[f"group.{i}"] for i in range(len(notes)))
    return arrays, Groups(codes, names, "sex")


def representations(parts: Mapping[str, tuple[Array, Groups]]) -> Axes:
    """A principal-component panel for each named representation (Fig. 1)."""
    figure = Figure(figsize=(10.0, 4.2 * ((len(parts) + 1) // 2)), layout="constrained")
    panels = figure.subplots((len(parts) + 1) // 2, 2, squeeze=False).ravel()
    for panel, (title, (features, groups)) in zip(panels, parts.items(), strict=False):
        representation_pca(features, groups, panel, most=1_000)
        panel.set_title(literal(title, 60), fontsize="medium")
    for panel in panels[len(parts) :]:
        panel.set_visible(False)
    axes: Axes = panels[0]
    return axes


def separability(features: Array, groups: Groups) -> float:
    """How well a linear model tells two groups apart: cross-validated area under the ROC curve."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    scores = cross_val_score(model, features, groups.codes, cv=5, scoring="roc_auc")
    return float(scores.mean())
