"""Run a kept run again, from its own config.yaml, and see whether the numbers agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from evenhand._base.asked import CONFIG, read_asked
from evenhand._base.paths import path_of
from evenhand._base.run_folder import OF_LABELS, run_folder
from evenhand._base.seals import check_sums
from evenhand.errors import ArtefactError, EvenhandError, InputError
from evenhand.experiments.agreement import Difference, changed_inputs, differences
from evenhand.finetuning.recipe import Recipe
from evenhand.finetuning.request import FinetuneRequest
from evenhand.tasks.shard_names import is_shards, shard_files


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
        trust_code: import and run a model or criterion named as ``package.module:function``.
    """

    output: Path
    data: Path | None = None
    weights: str | None = None
    cache: Path | None = None
    jobs: int = 1
    trust_code: bool = False


def rerun(folder: str | Path, where: Where) -> Rerun:
    """Run what ``folder`` holds again, and compare every table and the saved model.

    Relative paths in its config.yaml are relative to ``folder``.

    Raises:
        InputError: no run in ``folder``, its data are not there any more, or its model or
            criterion is code that is not trusted.
        ArtefactError: its config.yaml is damaged.
    """
    folder = path_of(folder, "the folder of a run")
    if where.output.exists() and where.output.resolve() == folder.resolve():
        raise InputError(f"{folder} is the run itself: give another --output")
    config = read_run(folder)
    _require_trust(config, where, folder)
    _require_data(config, where, folder)
    wrong = check_sums(folder)
    try:
        run = RUNS[config["command"]](config, where)
    except (EvenhandError, LookupError, TypeError, ValueError, AttributeError) as error:
        why = f"it does not say {error}" if isinstance(error, KeyError) else str(error)
        raise ArtefactError(f"{folder / CONFIG} is damaged: {why}") from error
    with run_folder(where.output, config["command"]):
        run()
    found = differences(folder, where.output)
    return Rerun(
        folder, where.output, tuple(found), (*wrong, *changed_inputs(folder, where.output))
    )


def read_run(folder: Path) -> dict[str, Any]:
    """The config.yaml of a run.

    Raises:
        InputError: there is none, or no command can run it again.
        ArtefactError: it is damaged.
    """  # noqa: DOC502
    config = read_asked(folder)
    command = config.get("command")
    if not isinstance(command, str) or command not in RUNS:
        raise InputError(
            f"{folder / CONFIG} names the command {str(command)[:80]!r}: "
            f"{', '.join(RUNS)} can be run again"
        )
    return config


def _require_trust(config: dict[str, Any], where: Where, folder: Path) -> None:
    """Refuse to import what a file names, unless told to: a run may be a stranger's."""
    if where.trust_code:
        return
    model = config.get("model")
    if isinstance(model, str) and ":" in model and not Path(model).exists():
        _refuse("model", model, folder)
    for criterion in _named_criteria(config):
        if ":" in criterion:
            _refuse("criterion", criterion, folder)


def _refuse(what: str, name: str, folder: Path) -> NoReturn:
    raise InputError(
        f"{folder / CONFIG} names the {what} {name[:200]!r}: to run it again imports that module, "
        "and runs what is in it; look at it, then give --trust-code"
    )


def _named_criteria(config: dict[str, Any]) -> list[str]:
    """Every criterion that a run's config.yaml names, wherever it may."""
    named = [config.get("criterion")]
    for key in ("bounds", "bound", "fail_above", "fail_below"):
        given = config.get(key)
        for one in given if isinstance(given, list) else [given]:
            named += one if isinstance(one, dict) else [one]
    return [str(name) for name in named if isinstance(name, str)]


def _require_data(config: dict[str, Any], where: Where, folder: Path) -> None:
    for key in ("data", "file"):
        path = config.get(key)
        if where.data is None and isinstance(path, str) and not _is_there(path):
            raise InputError(f"{path} does not exist: the data of {folder} moved; give --data")


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists() or (is_shards(path) and bool(shard_files(path)))
    except InputError:
        return False


def _recipe(asked: FinetuneRequest, where: Where) -> Recipe:
    """The task, data and model of a run, found where they are now."""
    request = replace(asked, output=None)
    if where.data is not None:
        request = replace(request, data=where.data)
    if where.weights is not None:
        request = replace(request, weights=where.weights)
    return Recipe(request, where.cache)


def _finetune(config: dict[str, Any], where: Where) -> Run:
    from evenhand.finetuning.finetune import finetune_stage

    _require(config, ("task", "bounds", "criterion", "confidence", "max_cost", "error", "seed"))
    asked = _recipe(FinetuneRequest.from_config(config), where)
    rule = asked.config.rule()

    def run() -> None:
        stage = asked.stage(asked.config.seed)
        finetune_stage(stage, asked.config, rule=rule).save(where.output)

    return run


def _finetune_labels(config: dict[str, Any], where: Where) -> Run:
    from evenhand.finetuning.several_labels import finetune_recipe

    _require(config, ("task", "label", "bounds", "criterion", "confidence", "seed"))
    asked = _recipe(FinetuneRequest.from_config(config), where)
    return partial(finetune_recipe, asked, where.output, jobs=where.jobs)


def _require(config: dict[str, Any], keys: Sequence[str]) -> None:
    for key in keys:
        config[key]  # a KeyError names what is missing


def _compare(config: dict[str, Any], where: Where) -> Run:
    from evenhand.experiments.compare.request import CompareRequest
    from evenhand.experiments.compare.run import compare

    asked = CompareRequest.from_config(config)
    return partial(
        compare,
        replace(_recipe(asked.asked, where), all_deep=asked.all_deep),
        asked.seeds,
        where.output,
        methods=None if asked.methods is None else list(asked.methods),
        rules=asked.rules,
        reference=asked.reference,
        jobs=where.jobs,
    )


def _paper(config: dict[str, Any], where: Where) -> Run:
    from evenhand.experiments.paper.run import run_paper

    data = where.data or (Path(config["data"]) if config["data"] else None)
    return partial(
        run_paper,
        str(config["what"]),
        int(config["seeds"]),
        list(map(str, config["tasks"])),
        data,
        where.output,
        cache=where.cache,
        jobs=where.jobs,
    )


def _audit(config: dict[str, Any], where: Where) -> Run:
    from evenhand.auditing.request import AuditRequest

    _require(config, ("file",))
    asked = AuditRequest.from_config(config)
    if where.data is not None:
        asked = replace(asked, file=str(where.data))

    def run() -> None:
        from evenhand.auditing.run import audit_of

        audit_of(asked).write(where.output)

    return run


Run = Callable[[], Any]


RUNS: dict[str, Callable[[dict[str, Any], Where], Run]] = {
    "finetune": _finetune,
    OF_LABELS: _finetune_labels,
    "compare": _compare,
    "paper": _paper,
    "audit": _audit,
}
"""From what config.yaml says to the run itself, so that all of it is read before any work."""
