"""A map of the gaps that a pre-trained model's features carry: one label after another.

Every attribute of a set of faces but the group's own is fine-tuned as any label is, from features
that are computed once, and its gap is shown before and after.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evenhand._base.markdown import markdown_table
from evenhand._base.text import number
from evenhand.experiments.sweep import RUNS, sweep
from evenhand.finetuning.recipe import Recipe
from evenhand.report.markup import markdown

GAP = "equalized_odds"
SURE = "a label is uneven where the gap's 95 % interval on the test rows begins above 0"


def attributes(
    recipe: Recipe,
    labels: Sequence[str],
    folder: Path,
    *,
    jobs: int = 1,
    on_done: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """One row a label: its shares in the groups, error and gap before and after, or why not.

    A second call with the same arguments computes only what is missing.

    Args:
        recipe: the task, its data and model; its label is not looked at.
        labels: to predict.
        folder: of the runs, one a label.
        jobs: labels at a time.
        on_done: called after each.

    Returns:
        Columns ``label``, ``share`` and ``share_gap`` (of the test rows, and between groups),
        ``error_before``, ``error``, ``gap_before`` and ``gap`` with ``_low`` and ``_high``,
        ``seconds``, and ``not_run``, the reason, empty where it was. Largest gap before first.
    """
    found = sweep(recipe, {"label": list(labels)}, folder, jobs=jobs, on_done=on_done)
    rows = []
    for one in found.to_dict("records"):
        reason = one.get("not_run")
        if isinstance(reason, str):
            rows.append({"label": one["label"], "not_run": reason})
        else:
            path = folder / RUNS / str(one["folder"]) / "result.json"
            told = _of_run(json.loads(path.read_text(encoding="utf-8")))
            rows.append({"label": one["label"], "not_run": "", **told})
    frame = pd.DataFrame(rows)
    if "gap_before" not in frame:
        return frame
    return frame.sort_values("gap_before", ascending=False, ignore_index=True)


def _of_run(result: dict[str, Any]) -> dict[str, float]:
    table = np.asarray(result["before"]["counts"]["table"], dtype=np.float64)
    cells = table.sum(axis=2)
    shares = cells[:, 1] / cells.sum(axis=1)
    told: dict[str, float] = {
        "share": float(cells[:, 1].sum() / cells.sum()),
        "share_gap": float(np.ptp(shares)),
        "error_before": result["before"]["error"],
        "error": result["after"]["error"],
        "seconds": float(sum(result["provenance"]["seconds"].values())),
    }
    for name, record in {"gap_before": result["before"], "gap": result["after"]}.items():
        interval = record["intervals"][GAP]
        told[name] = _float(interval["estimate"])
        told |= {f"{name}_{end}": _float(interval[end]) for end in ("low", "high")}
    return told


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def draw(frame: pd.DataFrame, path: Path) -> Path:
    """The map as a picture: a line a label, from the gap before to the one after."""
    from evenhand.report.plots.style import axes_or_new, colour, literal, save, tidy

    shown = frame[frame["not_run"] == ""].iloc[::-1]
    places = np.arange(len(shown))
    ax = axes_or_new(None, 6.5, 0.8 + 0.19 * len(shown))
    for place, (name, said) in enumerate(
        {"gap_before": "transfer learning", "gap": "what evenhand chooses"}.items()
    ):
        ends = shown[[f"{name}_low", f"{name}_high"]].to_numpy().T
        at = places + (0.15, -0.15)[place]
        ax.hlines(at, *ends, color=colour(place), linewidth=1, alpha=0.6)
        ax.plot(
            shown[name],
            at,
            "os"[place],
            color=colour(place),
            markersize=4,
            label=said,
        )
    ax.set_yticks(places, [literal(label) for label in shown["label"]], fontsize=7)
    ax.set_xlim(left=0)
    ax.legend(fontsize="small", frameon=False, loc="lower right")
    return save(tidy(ax, "ΔEO on the test rows, with 95 % intervals", ""), path)


def page(frame: pd.DataFrame, picture: str, made: dict[str, str]) -> str:
    """The study as a Markdown page.

    Args:
        frame: from :func:`attributes`.
        picture: the file of :func:`draw`, beside the page.
        made: ``what`` (data and model), ``group``, ``command`` and ``machine``.
    """
    run = frame[frame["not_run"] == ""]
    left = frame[frame["not_run"] != ""]
    uneven = run[run["gap_before_low"] > 0]
    still = run[run["gap_low"] > 0]
    cost = (run["error"] - run["error_before"]).mean()
    lines = [
        "# A map of the gaps that features carry",
        f"{len(frame)} attributes of {made['what']}, each given {made['group']}: a head on frozen "
        "features fine-tuned without looking at groups (transfer learning, its threshold tuned), "
        "and the one that evenhand chooses for the smallest ΔEO at half a point of error or less. "
        "All read the same features, computed once. One split a label, so that a figure is as sure "
        f"as its interval says. Made by `{made['command']}` on {made['machine']}.",
        f"![ΔEO of every attribute, before and after]({picture})",
        f"Transfer learning is uneven for {len(uneven)} of {len(run)} attributes ({SURE}), "
        f"with ΔEO {number(run['gap_before'].median(), 3)} in the median and "
        f"{number(run['gap_before'].max(), 3)} at most; after the choice "
        f"{len(still)} are, with {number(run['gap'].median(), 3)} and "
        f"{number(run['gap'].max(), 3)}. The error changes by {cost:+.2f} points on average. "
        "How uneven a model is goes with how uneven its labels are: the correlation over "
        "attributes of ΔEO before with the difference of the label's share between groups is "
        f"{number(_correlation(run), 2)}.",
        markdown_table(
            (
                *("attribute", "share %", "difference of shares", "ΔEO before", "ΔEO after"),
                *("Err % before", "Err % after"),
            ),
            (
                (
                    markdown(row["label"]),
                    f"{100 * row['share']:.1f}",
                    number(row["share_gap"], 3),
                    _interval(row, "gap_before"),
                    _interval(row, "gap"),
                    f"{row['error_before']:.2f}",
                    f"{row['error']:.2f}",
                )
                for row in run.to_dict("records")
            ),
        ),
    ]
    if len(left):
        told = (
            f"* {markdown(r['label'])}: {markdown(r['not_run'])}" for r in left.to_dict("records")
        )
        lines += ["Not run:", "\n".join(told)]
    return "\n\n".join(lines) + "\n"


def _correlation(run: pd.DataFrame) -> float:
    known = run[["share_gap", "gap_before"]].dropna()
    return float(np.corrcoef(known.to_numpy().T)[0, 1]) if len(known) > 2 else float("nan")


def _interval(row: Mapping[Any, Any], name: str) -> str:
    ends = f"{number(row[f'{name}_low'], 2)}–{number(row[f'{name}_high'], 2)}"
    return f"{number(row[name], 3)} ({ends})"
