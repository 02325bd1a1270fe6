"""Plots of arrays by group: importance, representation, alpha, scores, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from evenhand.errors import InputError
from evenhand.fisher.sums import GroupFisher
from evenhand.groups import Groups, as_groups
from evenhand.metrics.intervals import rate_interval
from evenhand.report.plots.style import HATCHES, LINES, axes_or_new, colour, literal, marker, tidy

MOST_BARS = 24


def importance(
    fisher: GroupFisher,
    ax: Axes | None = None,
    *,
    feature_names: Sequence[str] | None = None,
) -> Axes:
    """The Fisher importance of every input of the head, by group (the paper's Fig. 3).

    Args:
        fisher: of the head.
        ax: the axes to draw on; None makes new ones.
        feature_names: the d names of the inputs; numbers without.
    """
    values = np.asarray(fisher.importance)
    ax = axes_or_new(ax, 7.0, 3.6)
    number, d = values.shape
    places = np.arange(d)
    for g, name in enumerate(fisher.group_names):
        if d <= MOST_BARS:
            width = 0.8 / number
            ax.bar(
                places + (g - (number - 1) / 2) * width,
                values[g],
                width,
                label=literal(name),
                color=colour(g),
                hatch=HATCHES[g % len(HATCHES)],
                edgecolor="black",
                linewidth=0.6,
            )
        else:
            line = LINES[g % len(LINES)]
            ax.plot(places, values[g], label=literal(name), color=colour(g), linestyle=line)
    if feature_names is not None and d <= MOST_BARS:
        ax.set_xticks(places, [literal(f, 16) for f in feature_names], rotation=45, ha="right")
    ax.legend(fontsize="small", frameon=False)
    return tidy(ax, "input of the head", "Fisher importance")


def representation_pca(
    features: npt.NDArray[np.floating[Any]],
    groups: Groups | Sequence[Any],
    ax: Axes | None = None,
    *,
    most: int = 2000,
    seed: int = 0,
) -> Axes:
    """The head's inputs on their first two principal components, by group (the paper's Fig. 1).

    Args:
        features: (N, d) inputs of the head, d at least 2.
        groups: the group of every row; rows of unknown group are left out.
        ax: the axes to draw on; None makes new ones.
        most: how many rows are drawn; all of them give the components.
        seed: of the draw.

    Raises:
        InputError: there are fewer than two features, or not one group a row.
    """
    from sklearn.decomposition import PCA

    groups = as_groups(groups)
    if features.ndim != 2 or features.shape[1] < 2 or len(features) != len(groups):
        raise InputError(
            f"two components need features (N, d ≥ 2) and N groups, found {features.shape} "
            f"and {len(groups)}"
        )
    known = np.flatnonzero(groups.known)
    model = PCA(n_components=2, random_state=seed).fit(features[known])
    drawn = np.random.default_rng(seed).permutation(known)[:most]
    places = model.transform(features[drawn])
    ax = axes_or_new(ax, 5.0, 4.5)
    for g, name in enumerate(groups.names):
        mine = groups.codes[drawn] == g
        ax.scatter(
            places[mine, 0],
            places[mine, 1],
            s=14,
            marker=marker(g),
            facecolors="none" if g % 2 else colour(g),
            edgecolors=colour(g),
            linewidths=0.7,
            alpha=0.6,
            label=literal(name),
        )
    ax.legend(fontsize="small", frameon=False)
    first, second = model.explained_variance_ratio_
    return tidy(ax, f"component 1 ({first:.0%} of the variance)", f"component 2 ({second:.0%})")


def alpha_sweep(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Error and gaps over the weight alpha of the first group (the paper's Fig. 5).

    Args:
        frame: columns ``alpha``, ``error`` in % and any of ``delta_eo`` and ``delta_dp``; several
            rows of one alpha (seeds) are drawn as mean ± standard deviation.
        ax: the axes of the error; the gaps are drawn on a twin of it, to the right.

    Raises:
        InputError: a column is missing.
    """
    missing = [c for c in ("alpha", "error") if c not in frame]
    if missing:
        raise InputError(f"an alpha sweep needs columns alpha and error, missing {missing}")
    ax = axes_or_new(ax)
    right = ax.twinx()
    columns = [("error", "error", ax), ("delta_eo", "ΔEO", right), ("delta_dp", "ΔDP", right)]
    shown = [(column, name, on) for column, name, on in columns if column in frame]
    handles = []
    for i, (column, name, on) in enumerate(shown):
        by = frame.groupby("alpha")[column]
        mean, std = by.mean(), by.std(ddof=1).fillna(0.0)
        handles.append(
            on.errorbar(
                mean.index,
                mean,
                yerr=std,
                marker=marker(i),
                color=colour(i),
                linestyle=LINES[i],
                capsize=3,
                label=name,
            )
        )
    place = (0.5, 1.0)
    ax.legend(
        handles=[handle[0] for handle in handles],
        labels=[name for _, name, _ in shown],
        loc="lower center",
        bbox_to_anchor=place,
        ncols=len(handles),
        fontsize="small",
        frameon=False,
    )
    right.set_ylabel("gap")
    right.set_ylim(bottom=0)
    tidy(ax, "alpha", "error, %")
    ax.spines["right"].set_visible(True)
    return ax


def score_distributions(
    scores: npt.NDArray[np.floating[Any]],
    groups: Groups | Sequence[Any],
    ax: Axes | None = None,
    *,
    threshold: float | None = 0.5,
    bins: int = 30,
) -> Axes:
    """The distribution of each group's scores.

    Args:
        scores: (N,) scores of the positive class.
        groups: the group of every row.
        ax: the axes to draw on; None makes new ones.
        threshold: where decisions change, drawn as a line; None for none.
        bins: of the histograms, the same for every group.
    """
    ax = axes_or_new(ax)
    edges = np.histogram_bin_edges(scores, bins)
    for g, name, mine in _each(scores, groups):
        density, _ = np.histogram(scores[mine], edges, density=True)
        ax.stairs(
            density,
            edges,
            color=colour(g),
            linestyle=LINES[g % len(LINES)],
            linewidth=1.6,
            label=literal(f"{name} ({mine.sum():,})"),
        )
    if threshold is not None:
        ax.axvline(threshold, color="black", linewidth=0.8, linestyle=":", label="threshold")
    ax.legend(fontsize="small", frameon=False)
    return tidy(ax, "score", "density")


def calibration(
    scores: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.integer[Any]],
    groups: Groups | Sequence[Any],
    ax: Axes | None = None,
    *,
    bins: int = 10,
    least: int = 10,
) -> Axes:
    """The share of positives among rows of like score, by group, with 95 % intervals.

    Args:
        scores: (N,) probabilities of the positive class.
        labels: (N,) 0 or 1.
        groups: the group of every row.
        ax: the axes to draw on; None makes new ones.
        bins: of equal width on [0, 1].
        least: bins with fewer rows of a group are left out.

    Raises:
        InputError: the scores are no probabilities.
    """
    if len(scores) and (np.min(scores) < 0 or np.max(scores) > 1):
        raise InputError(
            "calibration needs probabilities in [0, 1], found "
            f"{np.min(scores):.3g} to {np.max(scores):.3g}"
        )
    ax = axes_or_new(ax, 4.8, 4.5)
    ax.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":", label="calibrated")
    place = np.minimum((np.asarray(scores) * bins).astype(np.int64), bins - 1)
    for g, name, mine in _each(scores, groups):
        rows = np.bincount(place[mine], minlength=bins)
        enough = rows >= max(least, 1)
        if not enough.any():
            continue
        positives = np.bincount(place[mine], np.asarray(labels)[mine], bins)[enough]
        mean = np.bincount(place[mine], scores[mine], bins)[enough] / rows[enough]
        rate = positives / rows[enough]
        low, high = rate_interval(positives, rows[enough])
        ax.errorbar(
            mean,
            rate,
            yerr=np.clip([rate - low, high - rate], 0, None),
            marker=marker(g),
            color=colour(g),
            linestyle=LINES[g % len(LINES)],
            linewidth=1,
            label=literal(name),
        )
    ax.legend(fontsize="small", frameon=False)
    return tidy(ax, "mean score", "share of positives")


def _each(
    scores: npt.NDArray[Any], groups: Groups | Sequence[Any]
) -> Iterator[tuple[int, str, npt.NDArray[np.bool_]]]:
    """The number, the name and the rows of every group that has rows."""
    groups = as_groups(groups)
    if len(groups) != len(scores):
        raise InputError(f"scores and groups differ in length: {len(scores)} and {len(groups)}")
    for g, name in enumerate(groups.names):
        mine = groups.codes == g
        if mine.any():
            yield g, name, mine
