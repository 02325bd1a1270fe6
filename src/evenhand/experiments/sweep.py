"""A sweep: fine-tune once for every combination of some options' values, kept run by run."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from evenhand._base.asked import CONFIG, write_config
from evenhand._base.files import write_atomically
from evenhand._base.made_from import claim
from evenhand._base.processes import spread
from evenhand._base.requests import plain
from evenhand._base.run_folder import run_folder
from evenhand._base.seals import SUMS, write_sums
from evenhand._base.text import as_json, frame_to_csv
from evenhand._base.threads import one_thread
from evenhand.errors import InputError
from evenhand.finetuning.recipe import Recipe
from evenhand.finetuning.recipe import recipe as recipe_of

RUNS = "runs"
TABLE = "sweep.csv"
NOT_SWEPT = ("task", "output")
"""A sweep is of one task, and says itself where its runs go."""


def sweep(
    task: Recipe | str | Path,
    over: Mapping[str, Sequence[Any]],
    folder: str | Path,
    *,
    jobs: int = 1,
    on_done: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """Fine-tune a task at every combination of values, each run in a folder of its own.

    A second call with the same arguments computes only what is missing; more values may be added.

    Args:
        task: a built-in task's name, the path of a task file, or a recipe made of either.
        over: option to its values, of :class:`~evenhand.finetuning.request.FinetuneRequest`;
            ``{"bound": [0.05, 0.1], "seed": [0, 1]}`` is four runs.
        folder: sweep.csv, and a run folder for each combination in runs/.
        jobs: runs at a time, each in a process of its own; within ``joblib.parallel_config`` they
            go where that says, such as to a cluster.
        on_done: called after each run.

    Returns:
        A row a combination: its values, what was promised, error, accuracy and gaps of the choice
        on the test rows beside those of tuned transfer learning, and its folder; or why it could
        not be run.

    Raises:
        InputError: no option, an unknown one, a value that cannot be, or a folder that holds
            another sweep.

    Example:
        >>> found = eh.sweep("people.yaml", {"bound": [0.3, 0.5]}, "runs/sweep")
        >>> found["bound"].tolist()
        [0.3, 0.5]
    """
    recipe = task if isinstance(task, Recipe) else recipe_of(str(task))
    if not over or not all(len(values) for values in over.values()):
        raise InputError("a sweep needs an option and its values, as bound=.05,.1")
    for key in NOT_SWEPT:
        if key in over:
            raise InputError(f"{key} is not swept over: a sweep is of one task, in one folder")
    every = [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]
    asked = [replace(recipe, config=recipe.config.changed(values)) for values in every]
    with run_folder(folder, "sweep") as target:
        base = {k: v for k, v in recipe.config.to_config().items() if k not in over}
        claim(target / RUNS, {"sweep": plain(base), "over": list(over), **recipe.inputs})
        write_config(target, {"command": "sweep", **base, "over": _plain(over)})
        recipe.extract(asked[0].config.seed)
        arguments = [
            (one, target / RUNS / _name(values, one))
            for values, one in zip(every, asked, strict=True)
        ]
        found = spread(_run, arguments, jobs=jobs, on_done=on_done)
        frame = pd.DataFrame(
            [
                {**{key: _shown(value) for key, value in values.items()}, **row}
                for values, row in zip(every, found, strict=True)
            ]
        )
        write_atomically(target / TABLE, frame_to_csv(frame))
        write_sums(target, [CONFIG, TABLE])
    return frame


def _plain(over: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    return {key: [plain(value) for value in values] for key, values in over.items()}


def _name(values: Mapping[str, Any], asked: Recipe) -> str:
    """A folder that tells the values to a person, and the whole request to the sweep."""
    told = "_".join(f"{key}-{_shown(value)}" for key, value in values.items())
    kept = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in told)
    return f"{kept[:80]}-{asked.config.fingerprint[:8]}"


def _shown(value: Any) -> Any:
    if isinstance(value, int | float | str | bool):
        return value
    return json.dumps(plain(value), ensure_ascii=False)


def _run(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Run one combination where it was not run before, and say what came of it."""
    from evenhand.finetuning.finetune import finetune_stage

    if not (folder / SUMS).is_file():
        with one_thread():
            try:
                request = recipe.config
                finetune_stage(recipe.stage(request.seed), request).save(folder)
            except InputError as error:
                return {"not_run": str(error)}
    return _row(folder)


def _row(folder: Path) -> dict[str, Any]:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    told: dict[str, Any] = {}
    for when in ("before", "after"):
        record = result[when]
        told |= {
            f"error_{when}": record["error"],
            f"accuracy_{when}": record["accuracy"],
            f"delta_eo_{when}": record["delta_eo"],
            f"delta_dp_{when}": record["delta_dp"],
        }
    setting = result["after"]["setting"]
    return {"promised": result["promised"], "setting": setting, **told, "folder": folder.name}


def to_json(frame: pd.DataFrame) -> str:
    """A sweep as JSON, undefined values as null."""
    return as_json(json.loads(frame.to_json(orient="records", force_ascii=False)))
