"""Ten heads on Adult, from transfer learning's to an even one: the whole frontier at once.

The features are those of the paper's network, the rows and the ridge the same for everybody. Each
turn is another seed: another split, another network. What the heads are worth is measured too: the
error on the test rows at shares of transfer learning's gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import NotInstalledError, Options, in_turns
from benchmarks.memory import peak_megabytes
from benchmarks.path_rivals import fairret_loop
from benchmarks.rows import Row, faster
from evenhand.criteria import Criterion
from evenhand.errors import MissingExtraError
from evenhand.experiments.compare.frontier import error_at
from evenhand.experiments.methods.fairlearn_reductions import exponentiated_gradient, grid_search
from evenhand.experiments.methods.fairret import fairret
from evenhand.experiments.methods.linear_heads import evened
from evenhand.experiments.methods.oxonfair import oxonfair
from evenhand.finetuning.baselines import transfer
from evenhand.finetuning.mlp_stage import adult_stage
from evenhand.finetuning.problem import Fitted
from evenhand.finetuning.score import score
from evenhand.finetuning.stage import Stage

CRITERION = Criterion.EQUALIZED_ODDS
SEEDS = 3
LEVELS = (0.8, 0.65, 0.5)
Fit = Callable[["Made"], Sequence[tuple[str, Fitted]]]


@dataclass(frozen=True)
class Made:
    """A stage and how many points of the frontier to fit."""

    stage: Stage
    points: int


def make(points: int, seed: int = 0) -> Made:
    stage = adult_stage(seed=seed)
    _ = stage.problem.ridge
    return Made(stage, points)


def ours(made: Made) -> Sequence[tuple[str, Fitted]]:
    strengths = np.geomspace(0.1, 30, made.points).tolist()
    return evened(CRITERION, strengths)(made.stage.problem)


def gradient(made: Made) -> Sequence[tuple[str, Fitted]]:
    epsilons = np.linspace(0.01, 0.1, made.points).tolist()
    return exponentiated_gradient([CRITERION], epsilons)(made.stage.problem)


def grid(made: Made) -> Sequence[tuple[str, Fitted]]:
    bounds = np.linspace(0.05, 0.3, made.points).tolist()
    return grid_search([CRITERION], bounds, 81 if made.points > 2 else 5)(made.stage.problem)


def oxon(made: Made) -> Sequence[tuple[str, Fitted]]:
    bounds = np.linspace(0.05, 0.3, made.points).tolist()
    return oxonfair([CRITERION], bounds)(made.stage.problem)


def fairret_lbfgs(made: Made) -> Sequence[tuple[str, Fitted]]:
    strengths = np.geomspace(0.01, 0.3, made.points).tolist()
    return fairret([CRITERION], strengths)(made.stage.problem)


def fairret_adam(made: Made) -> Sequence[tuple[str, Fitted]]:
    strengths = np.geomspace(0.01, 0.3, made.points).tolist()
    return fairret_loop(strengths, epochs=20 if made.points > 2 else 1)(made.stage.problem)


RIVALS = {
    "Fairlearn's ExponentiatedGradient": (gradient, "exponentiated-gradient", ">= 20"),
    "Fairlearn's GridSearch, 81 points": (grid, "grid-search", ""),
    "OxonFair, two heads merged": (oxon, "oxonfair", ""),
    "fairret by L-BFGS": (fairret_lbfgs, "fairret", ""),
    "fairret in a training loop, 20 epochs": (fairret_adam, "fairret", ""),
}
PUBLISHED = Path(__file__).resolve().parents[1] / "docs" / "results.md"
"""Where `evenhand compare adult` over ten seeds is shown."""
INSTALL = "pip install 'evenhand[baselines]'"


def run(options: Options) -> list[Row]:
    points = 2 if options.quick else 10
    seeds = 1 if options.quick else SEEDS
    made = [make(points, seed) for seed in range(seeds)]
    rows = []
    own_errors = None
    shown = published()
    for name, (rival, method, bar) in RIVALS.items():
        try:
            rival(Made(made[0].stage, 2))
        except (MissingExtraError, NotInstalledError):
            rows.append(Row("path", _what(points), name, note=f"skipped: {INSTALL}"))
            continue
        seconds: dict[str, list[float]] = {"ours": [], name: []}
        results: dict[str, list[Sequence[tuple[str, Fitted]]]] = {"ours": [], name: []}
        for each in made:
            ways = {"ours": partial(_kept, ours, each, results["ours"])}
            ways[name] = partial(_kept, rival, each, results[name])
            for way, turn in in_turns(ways, 1, warm=False).items():
                seconds[way] += turn
        own_errors = own_errors or errors(made, results["ours"])
        note = (
            f"Error in % (100 - weighted F1) at {', '.join(f'{100 * at:.0f}' for at in LEVELS)} % "
            f"of transfer learning's ΔEO. By `evenhand compare adult`, ten seeds, thresholds tuned "
            f"alike (docs/results.md): ours {shown.get('gap-eo', 'not there')}, {name} "
            f"{shown.get(method, 'not there')}. Of the heads timed here, as they come, {seeds} "
            f"seeds: ours {own_errors}, {name} {errors(made, results[name])}."
        )
        rows.append(
            faster(
                "path",
                _what(points),
                name,
                seconds["ours"],
                seconds[name],
                bar=bar,
                memory=None if options.quick else _peak("ours"),
                their_memory=None if options.quick else _peak(rival.__name__),
                note=note,
            )
        )
    return rows


def published() -> dict[str, str]:
    """Method to its errors at the levels, as the page of `evenhand compare` has them."""
    if not PUBLISHED.exists():
        return {}
    _, _, rest = PUBLISHED.read_text(encoding="utf-8").partition("### equalized_odds, error\n")
    table = [line for line in rest.partition("###")[0].splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    wanted = [f"{100 * level:.0f}%" for level in LEVELS]
    if not cells or any(level not in cells[0] for level in wanted):
        return {}
    columns = [cells[0].index(level) for level in wanted]
    return {row[0]: " / ".join(row[column] for column in columns) for row in cells[1:]}


def _kept(fit: Fit, made: Made, results: list[Sequence[tuple[str, Fitted]]]) -> None:
    results.append(fit(made))


def errors(made: list[Made], results: list[Sequence[tuple[str, Fitted]]]) -> str:
    """The errors at the levels, as text; a point of the frontier is a setting's mean."""
    base, own = [], []
    for each, fitted in zip(made, results, strict=True):
        plain = transfer(each.stage.problem)[0][1]
        base.append(score(each.stage, "transfer", "", plain, 0.0).gap(CRITERION))
        records = [score(each.stage, "", name, one, 0.0) for name, one in fitted]
        own.append([(record.gap(CRITERION), record.error) for record in records])
    gaps, costs = np.mean(own, axis=0).T
    found = error_at(gaps, costs, np.mean(base) * np.asarray(LEVELS))
    return " / ".join("n/a" if np.isnan(one) else f"{one:.2f}" for one in found)


def _what(points: int) -> str:
    return f"{points} heads on Adult, equalized odds"


def _peak(name: str) -> float:
    """Of two points: more are fitted one after another."""
    return peak_megabytes("benchmarks.path:make", f"benchmarks.path:{name}", (2,), (2,))
