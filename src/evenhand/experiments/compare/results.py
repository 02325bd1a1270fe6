"""One cell of a comparison, a method at a seed: run once, kept in a file, never run again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from evenhand._base.files import write_atomically
from evenhand._base.made_from import mark
from evenhand._base.seals import sealed, unsealed
from evenhand._base.threads import one_thread
from evenhand.criteria import Criterion
from evenhand.errors import ArtefactError, InputError, MissingExtraError
from evenhand.experiments.compare.choose import bounded, development_gap, levelled, menu
from evenhand.experiments.methods.registry import METHODS, Entry
from evenhand.finetuning.recipe import Recipe
from evenhand.finetuning.score import score
from evenhand.finetuning.stage import Stage
from evenhand.heads.selection.rule import Rule
from evenhand.metrics.counts import Counts
from evenhand.report.record import Record
from evenhand.report.setting import Setting

FRONTIER = (Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY)


@dataclass(frozen=True, eq=False)
class Cell:
    """What one method gave at one seed.

    Attributes:
        method, seed: whose it is.
        records: one a setting.
        skipped: why there are none.
        too_wide: it was skipped for the width of the features only, so it runs where it is named.
        missing: the package it was skipped for, so it runs once that is installed.
    """

    method: str
    seed: int
    records: tuple[Record, ...] = ()
    skipped: str | None = None
    too_wide: bool = False
    missing: str | None = None

    @property
    def file(self) -> str:
        """What its file is called."""
        return f"seed{self.seed}-{self.method}.json"

    def is_final(self, *, named: bool) -> bool:
        """Whether another run would give the same."""
        if self.missing is not None and _is_installed(self.missing):
            return False
        return not (self.too_wide and named)


def cell_path(folder: Path, seed: int, name: str) -> Path:
    """Where the cell of a method at a seed is kept."""
    return folder / "cells" / Cell(name, seed).file


def is_kept(folder: Path, seed: int, name: str, *, named: bool) -> bool:
    """Whether the cell need not be run.

    One left out for its width runs once it is ``named``, one left out for a package that was not
    installed once it is.

    Raises:
        ArtefactError: it is there and damaged.
    """  # noqa: DOC502
    path = cell_path(folder, seed, name)
    return path.is_file() and read_cell(path).is_final(named=named)


def run_seed(
    recipe: Recipe,
    seed: int,
    names: Sequence[str],
    rules: Sequence[Rule],
    folder: Path,
    *,
    named: bool,
) -> None:
    """Run and keep every cell of ``seed`` that is not kept yet.

    Args:
        recipe: the task, data and model.
        seed: of the split, the pre-training and every random choice.
        names: of the methods.
        rules: rules with bounds, each a further row of every method that has a knob.
        folder: of the comparison.
        named: the methods were asked for by name; otherwise those that take minutes on features
            this wide are left out, and say so.
    """
    todo = [METHODS[name] for name in names if not is_kept(folder, seed, name, named=named)]
    if not todo:
        return
    with one_thread():
        stage = recipe.stage(seed)
        width = stage.problem.train.features.shape[1]
        for entry in todo:
            reason = None if named else entry.too_wide(width)
            cell = (
                Cell(entry.name, seed, skipped=reason, too_wide=True)
                if reason
                else run_cell(stage, entry, rules)
            )
            write_cell(cell_path(folder, seed, entry.name), cell)


def run_cell(stage: Stage, entry: Entry, rules: Sequence[Rule]) -> Cell:
    """Fit one method on a stage at all its settings and score them on the test rows."""
    return cell_of(stage, entry.name, lambda: _records(stage, entry, rules))


def cell_of(stage: Stage, name: str, records: Callable[[], Iterable[Record]]) -> Cell:
    """The cell of what ``records`` gives, or of why it cannot be run."""
    seed = stage.problem.seed
    try:
        return Cell(name, seed, tuple(records()))
    except MissingExtraError as error:
        return Cell(name, seed, skipped=str(error), missing=error.package)
    except InputError as error:
        return Cell(name, seed, skipped=str(error))


def _records(stage: Stage, entry: Entry, rules: Sequence[Rule]) -> Iterator[Record]:
    problem = stage.problem
    if entry.name == "pretrained" and problem.fresh:
        raise InputError("the label space is new: there is no head to use as it is")
    if entry.network and problem.network is None:
        raise InputError(f"{entry.name} needs the whole network, and only features are at hand")
    began = time.perf_counter()
    fitted = entry.load()(problem)
    each = (time.perf_counter() - began) / max(1, len(fitted))
    for setting, one in fitted:
        yield score(stage, entry.name, setting, one, each + one.shared_seconds)
    for rule in rules if entry.by_rule else ():
        began = time.perf_counter()
        one = entry.choose(problem, rule)
        setting = Setting.at_bound(" and ".join(map(str, rule.bounds)))
        yield score(stage, entry.name, setting, one, time.perf_counter() - began)
    if not entry.knob:
        return
    for criterion in _criteria(entry, FRONTIER):
        one_menu = menu(entry, problem, fitted, criterion)
        reference = development_gap(problem, problem.dense.head, criterion)
        for setting, one in levelled(one_menu, criterion, reference):
            yield score(stage, entry.name, setting, one, each)
        for rule in rules:
            if rule.criteria != (criterion,):
                continue
            began = time.perf_counter()
            setting, one = bounded(one_menu, rule, problem)
            yield score(stage, entry.name, setting, one, each + time.perf_counter() - began)


def _criteria(entry: Entry, every: Sequence[Criterion]) -> tuple[Criterion, ...]:
    return tuple(every) if entry.evens is None else (entry.evens,)


def write_cell(path: Path, cell: Cell) -> None:
    """Keep a cell, whole or not at all, with the mark of what its folder was made from."""
    write_atomically(path, to_json(cell, mark(path.parent)))


def to_json(cell: Cell, made_from: str | None = None) -> str:
    """A cell as JSON that carries its own hash."""
    records = [
        {
            "task": record.task,
            "method": record.method,
            "setting": vars(record.setting),
            "seed": record.seed,
            "table": np.asarray(record.counts.table).tolist(),
            "unknown": np.asarray(record.counts.unknown).tolist(),
            "groups": list(record.counts.group_names),
            "classes": list(record.counts.class_names),
            "attribute": record.counts.attribute,
            "squares": None if record.counts.squares is None else record.counts.squares.tolist(),
            "trainable_parameters": record.trainable_parameters,
            "seconds": record.seconds,
            "notes": list(record.notes),
        }
        for record in cell.records
    ]
    about = {k: getattr(cell, k) for k in ("method", "seed", "skipped", "too_wide", "missing")}
    return sealed({**about, "made_from": made_from, "records": records})


def read_cell(path: Path) -> Cell:
    """A cell that :func:`write_cell` wrote.

    Raises:
        ArtefactError: the file is damaged, or is that of another method, seed or comparison.
    """
    try:
        document = unsealed(path.read_bytes())
        made_from = document.pop("made_from")
        records = tuple(map(_record, document.pop("records")))
        cell = Cell(records=records, **document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path} is damaged ({error}); delete it and run again") from error
    if path.name != cell.file:
        raise ArtefactError(
            f"{path} is not what its name says: it was written as {cell.file}; delete it and run "
            "again"
        )
    if made_from != mark(path.parent):
        raise ArtefactError(f"{path} is of another comparison; delete it and run again")
    return cell


def _is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _record(one: dict[str, Any]) -> Record:
    counts = Counts(
        np.array(one["table"]),
        np.array(one["unknown"]),
        tuple(one["groups"]),
        tuple(one["classes"]),
        one["attribute"],
        squares=None if one.get("squares") is None else np.array(one["squares"]),
    )
    setting = one["setting"]
    criterion = None if setting["criterion"] is None else Criterion.parse(setting["criterion"])
    return Record(
        one["task"],
        one["method"],
        Setting(**setting | {"criterion": criterion, "parts": tuple(setting["parts"])}),
        one["seed"],
        counts,
        one["trainable_parameters"],
        one["seconds"],
        notes=tuple(one["notes"]),
    )
