"""Run a kept run again, from its own config.yaml, and see whether the numbers agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from evenhand._base.seals import check_sums, write_asked
from evenhand.errors import ArtefactError, InputError
from evenhand.experiments.agreement import Difference, changed_inputs, differences
from evenhand.finetuning.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Rerun:
    """A run and the same run again.

    Attributes:
        folder: of the first.
        again: of the second.
        differences: every number that is not the same to the bit.
        notes: inputs and versions that changed, files of the first run that are not as written.
    """

    folder: Path
    again: Path
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def far(self) -> list[Difference]:
        """The differences beyond 1e-6."""
        return [one for one in self.differences if not one.close]

    @property
    def agrees(self) -> bool:
        """Whether every number is within 1e-6 of what it was."""
        return not self.far

    def __str__(self) -> str:
        if not self.differences:
            return "the numbers agree to the bit"
        if self.agrees:
            return f"the numbers agree to 1e-6; {len(self.differences)} differ in their last digits"
        return f"{len(self.far)} numbers do not agree"


@dataclass(frozen=True)
class Where:
    """Where a rerun finds what it needs.

    Attributes:
        output: its own folder.
        data, weights: in place of those of config.yaml, where they have moved.
        cache: root of the caches; None for the platform's.
        jobs: processes at a time.
    """

    output: Path
    data: Path | None = None
    weights: str | None = None
    cache: Path | None = None
    jobs: int = 1


def rerun(folder: str | Path, where: Where) -> Rerun:
    """Run what ``folder`` holds again, and compare every table and the saved model.

    Relative paths in its config.yaml are relative to the current folder, as they were then.

    Raises:
        InputError: no run in ``folder``, or its data are not there any more.
        ArtefactError: its config.yaml is damaged.
    """
    folder = Path(folder)
    if where.output.exists() and where.output.resolve() == folder.resolve():
        raise InputError(f"{folder} is the run itself: give another --output")
    config = read_run(folder)
    wrong = check_sums(folder)
    RUNS[config["command"]](config, where)
    found = differences(folder, where.output)
    return Rerun(
        folder, where.output, tuple(found), (*wrong, *changed_inputs(folder, where.output))
    )


def read_run(folder: Path) -> dict[str, Any]:
    """The config.yaml of a run.

    Raises:
        InputError: there is none, or no command can run it again.
        ArtefactError: it is damaged.
    """
    path = folder / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder} holds no run: it has no config.yaml") from error
    except (ValueError, yaml.YAMLError) as error:
        raise ArtefactError(f"{path} is damaged: {error}") from error
    command = config.get("command") if isinstance(config, dict) else None
    if command not in RUNS:
        raise InputError(
            f"{path} names the command {command!r}: {', '.join(RUNS)} can be run again"
        )
    return dict(config)


def _recipe(config: dict[str, Any], where: Where) -> Recipe:
    """The task, data and model of a run."""
    from evenhand.finetuning.task_file import TaskConfig
    from evenhand.finetuning.task_file_checks import CHECKS

    names = {field.name for field in fields(TaskConfig)}
    try:
        values = {k: CHECKS[k](v) for k, v in config.items() if k in names and v is not None}
    except InputError as error:
        raise ArtefactError(f"config.yaml is damaged: {error}") from error
    task = replace(TaskConfig(**values), output=None)
    if where.data is not None:
        task = replace(task, data=where.data)
    if where.weights is not None:
        task = replace(task, weights=where.weights)
    return Recipe(task, int(config.get("layers", 2)), where.cache)


def _finetune(config: dict[str, Any], where: Where) -> None:
    from evenhand.finetuning.finetune import finetune_stage
    from evenhand.heads.selection.rule import Bound, make_rule

    asked = _recipe(config, where)
    bounds = [Bound(name, limit) for name, limit in config["bounds"].items()]
    rule = make_rule(
        bounds, config["criterion"], config["confidence"], config["max_cost"], config["error"]
    )
    rank = config["rank"]
    result = finetune_stage(
        asked.stage(config["seed"]),
        rule,
        rank=rank if rank in (None, "auto") else int(rank),
        alpha=config["alpha"],
        strength=config["strength"],
        adapter=config["adapter"],
        config=config,
    )
    result.save(where.output)


def _compare(config: dict[str, Any], where: Where) -> None:
    from evenhand.experiments.compare.run import compare
    from evenhand.heads.selection.rule import Bound, make_rule

    rules = []
    for text, confidence in zip(config["bounds"], config["confidence"], strict=True):
        bounds = [Bound.parse(one.replace("<=", "=")) for one in text.split(" and ")]
        rules.append(make_rule(bounds, bounds[0].criterion, confidence, 0.5, config["error"]))
    method, setting = config["reference"]
    compare(
        _recipe({k: v for k, v in config.items() if k != "confidence"}, where),
        config["seeds"],
        where.output,
        methods=None if config["all_methods"] else config["methods"],
        rules=rules,
        reference=(method, setting),
        jobs=where.jobs,
    )


def _paper(config: dict[str, Any], where: Where) -> None:
    from evenhand.experiments.paper.run import run_paper

    data = where.data or (Path(config["data"]) if config["data"] else None)
    run_paper(
        config["what"],
        config["seeds"],
        config["tasks"],
        data,
        where.output,
        cache=where.cache,
        jobs=where.jobs,
    )


def _audit(config: dict[str, Any], where: Where) -> None:
    from evenhand.auditing import audit

    asked = {k: v for k, v in config.items() if k not in ("command", "file", "criterion")}
    file = where.data or Path(config["file"])
    paths = audit(file, **asked).write(where.output, config["criterion"], file.stem)
    write_asked(where.output, config, list(paths))


RUNS: dict[str, Callable[[dict[str, Any], Where], None]] = {
    "finetune": _finetune,
    "compare": _compare,
    "paper": _paper,
    "audit": _audit,
}
