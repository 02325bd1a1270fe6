"""Make docs/gallery from real runs on Adult: python docs/make_gallery.py [--seeds 3] [--jobs 2].

Every picture is drawn from what the library measured just now; captions are written from the same
numbers. Nothing is downloaded: Adult comes with evenhand.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand._base.files import write_atomically
from evenhand._base.text import number
from evenhand.criteria import Criterion
from evenhand.experiments.compare.as_run import as_run
from evenhand.experiments.compare.run import compare
from evenhand.experiments.methods.linear_heads import factorised
from evenhand.finetuning.finetune import finetune_stage
from evenhand.finetuning.mlp_stage import adult_stage
from evenhand.finetuning.recipe import recipe
from evenhand.finetuning.result import Result
from evenhand.finetuning.score import score
from evenhand.finetuning.stage import Stage
from evenhand.fisher.neutralize import alpha_weights
from evenhand.heads.selection.rule import Bound, make_rule
from evenhand.report import html, plots
from evenhand.report.record import Run

METHODS = "transfer,svd,neutralized-svd,gap-eo,exponentiated-gradient,fairret,evenhand"
ALPHAS = (0.5, 0.6, 0.7, 0.8, 0.9)
FARTHEST = 3.0
"""Points of error above transfer learning beyond which a setting is left out of the picture."""


def compared(seeds: int, jobs: int, folder: Path) -> Run:
    """Methods side by side; for the picture, only settings that aim at equalized odds."""
    rule = make_rule([Bound("equalized_odds", 0.1)], "equalized_odds", 0.9, 0.5, "f1")
    asked = recipe("adult")
    result = compare(
        asked, range(seeds), folder, methods=METHODS.split(","), rules=[rule], jobs=jobs
    )
    run = as_run(result)
    most = run.before.error + FARTHEST
    shown = [
        record
        for record in run.records
        if record.setting.criterion is not Criterion.DEMOGRAPHIC_PARITY
        and record.setting.kind != "bound"
        and record.error <= most
    ]
    whole = {r.key for r in run.records} - {r.key for r in run.records if r not in shown}
    return replace(run, records=tuple(r for r in shown if r.key in whole))


def swept(stages: list[Stage]) -> pd.DataFrame:
    """The paper's method over alpha, the weight of the first group."""
    rows = []
    for stage in stages:
        problem = stage.problem
        for alpha in ALPHAS:
            method = factorised(alpha_weights(problem.fisher, alpha), ranks=[1])
            ((setting, fitted),) = method(problem)
            row = score(stage, "neutralized-svd", setting, fitted, 0.0).row()
            rows.append({"alpha": alpha, **row})
    return pd.DataFrame(rows)


def captions(run: Run, result: Result, sweep: pd.DataFrame, seeds: int) -> dict[str, str]:
    """What each picture shows, with its numbers."""
    before, after = result.run.before, result.run.after
    assert after is not None
    by_alpha = sweep.groupby("alpha")[["error", "delta_eo"]].mean()
    spread = by_alpha.max() - by_alpha.min()
    importance = np.asarray(result.stage.problem.fisher.importance)
    cosine = importance[0] @ importance[1] / np.prod(np.linalg.norm(importance, axis=1))
    return {
        "frontier": f"Every method over {seeds} seeds: mean ± one standard deviation. Settings "
        f"more than {FARTHEST:g} points of error above transfer learning are left out.",
        "before_after": f"One run with a bound of .10: ΔEO from {number(before.gap('eo'))} to "
        f"{number(after.gap('eo'))}, error from {before.error:.2f} to {after.error:.2f} %.",
        "score_distributions": "The scores of the model chosen, by group, on the test rows.",
        "calibration": "The same scores against what came true.",
        "importance": "The Fisher importance of the head's inputs by group (the paper's Fig. 3); "
        f"the cosine of the two is {cosine:.3f}.",
        "representation_pca": "The head's inputs on two principal components (the paper's Fig. 1).",
        "alpha_sweep": "The weight alpha in the paper's neutralisation (its Fig. 5), "
        f"{sweep['seed'].nunique()} seeds: over the whole range the mean error moves by "
        f"{spread['error']:.2f} points and the mean ΔEO by {number(spread['delta_eo'])}.",
    }


def main() -> None:
    """Run, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=Path, help="Keep the comparison here, to resume it.")
    asked = parser.parse_args()
    folder = Path(__file__).parent / "gallery"
    with tempfile.TemporaryDirectory() as work:
        run = compared(asked.seeds, asked.jobs, asked.work or Path(work))
    stages = [adult_stage(seed=seed) for seed in range(asked.seeds)]
    rule = make_rule([Bound("equalized_odds", 0.1)], "equalized_odds", 0.9, 0.5, "f1")
    result = finetune_stage(stages[0], rule=rule)
    sweep = swept(stages)
    test, after = stages[0].test, result.run.after
    assert after is not None
    assert after.scores is not None
    drawn = {
        "frontier": plots.frontier(run),
        "before_after": plots.before_after(result.run),
        "score_distributions": plots.score_distributions(after.scores, test.groups),
        "calibration": plots.calibration(after.scores, test.labels, test.groups),
        "importance": plots.importance(stages[0].problem.fisher),
        "representation_pca": plots.representation_pca(test.features, test.groups, most=600),
        "alpha_sweep": plots.alpha_sweep(sweep),
    }
    for name, ax in drawn.items():
        plots.save(ax, folder / f"{name}.svg")
    html.write(result.run, folder / "report.html")
    told = captions(run, result, sweep, asked.seeds)
    lines = ["# Gallery", ""]
    lines += ["Made by `python docs/make_gallery.py` from runs on Adult (income given sex).", ""]
    for name in drawn:
        lines += [f"## {name.replace('_', ' ').capitalize()}", "", told[name], ""]
        lines += [f"![{told[name]}]({name}.svg)", ""]
    lines += ["## Report", "", "[report.html](report.html), the page of that run.", ""]
    write_atomically(folder / "README.md", "\n".join(lines))
    for path in folder.iterdir():
        path.chmod(0o644)


if __name__ == "__main__":
    main()
