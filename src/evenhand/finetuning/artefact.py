"""The folder that holds a fine-tuned model whole: from a raw row to a decision."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand._base.paths import path_of
from evenhand._base.run_folder import require_one_label
from evenhand._base.seals import SUMS, check_sums, unsealed
from evenhand.errors import ArtefactError, EvenhandError, InputError
from evenhand.finetuning.fair_model import FairModel
from evenhand.finetuning.promise import Promise
from evenhand.finetuning.save_artefact import RAW
from evenhand.models import saving
from evenhand.models.backbone import Backbone, Prepare
from evenhand.models.preparation import preparation_from_dict
from evenhand.tasks.raw import Raw, raw_from_dict

if TYPE_CHECKING:
    from torch import nn

    from evenhand.finetuning.result import Result

THRESHOLD = 0.5

PACKAGES = ("evenhand", "torch", "numpy", "scikit-learn", "pandas")


def model_of(result: Result) -> FairModel:
    """The model of a result, with all that leads from a raw row to a decision."""
    stage, record = result.stage, result.run.after or result.run.before
    decided = record.counts.total.sum(axis=0)
    classes = tuple(stage.problem.train.classes)
    shares = decided / max(decided.sum(), 1)
    backbone = replace(
        stage.backbone,
        model=result.model,
        classes=classes,
        pretrained_head=True,
        guessed=False,
    )
    return FairModel(
        backbone,
        classes,
        stage.label,
        stage.raw,
        Promise.of(result),
        THRESHOLD if len(classes) == 2 else None,
        {name: float(share) for name, share in zip(classes, shares, strict=True)},
        {package: version(package) for package in PACKAGES},
    )


def load(
    folder: str | Path, into: nn.Module | None = None, *, prepare: Prepare | None = None
) -> FairModel:
    """The fine-tuned model of a run: raw rows in, decisions out. It needs no group.

    Args:
        folder: of the run, whose every file must be as it was written; or a model's own folder.
        into: a module of the model's class, where no library makes it by name.
        prepare: the function that prepares its inputs, where the model was given one of yours.

    Raises:
        InputError: no run and no model there, or a run of several labels; or ``into`` or
            ``prepare`` is needed.
        ArtefactError: a file is missing, was changed or is damaged; it is named.
        ModelError: ``into`` has other parameters.

    Example:
        >>> task = eh.tasks.table("people.csv", label="income", groups="sex")
        >>> folder = eh.finetune(None, task, strength=1.0).save("runs/loaded")
        >>> model = eh.load(folder)
        >>> list(model.predict({"age": [20, 65], "hours": [15, 55]}))  # raw rows, no group
        ['<=50K', '>50K']
    """  # noqa: DOC501, DOC502 - of those it catches, its own pass
    folder = where = path_of(folder, "the folder of a run")
    if not (folder / saving.SEAL).is_file():
        where = folder / "model"
        if not folder.is_dir() or not (where / saving.SEAL).is_file():
            require_one_label(folder)
            if (folder / SUMS).is_file():
                _refuse_changed(folder)
            raise InputError(
                f"{folder} holds no fine-tuned model: give the folder of a run (evenhand finetune "
                f"-o {folder}), with model/{saving.SEAL} in it"
            )
        _refuse_changed(folder)
    seal = saving.read_seal(where)
    if "promise" not in seal:
        raise InputError(
            f"{where} holds a module, and not how raw rows are decided: no run wrote it; "
            "evenhand.models.saving.load(folder) gives the module"
        )
    module = saving.load(where, into)
    try:
        return _made(where, seal, module, prepare)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, EvenhandError):
            raise
        raise ArtefactError(f"{where / saving.SEAL} is damaged: {error}") from error


def _made(
    where: Path, seal: dict[str, Any], module: nn.Module, prepare: Prepare | None
) -> FairModel:
    inner = saving.inner_folder(where, module)
    prepared = preparation_from_dict(dict(seal["preparation"]), *inner, prepare)
    classes = tuple(map(str, seal["classes"]))
    threshold = seal["threshold"]
    return FairModel(
        Backbone(
            module, str(seal["head"]), prepared, str(seal["name"]), classes, source=seal["source"]
        ),
        classes,
        str(seal["label"]),
        _raw(where) if RAW in seal["sha256"] else None,
        Promise.from_dict(seal["promise"]),
        None if threshold is None else float(threshold),
        {str(name): float(share) for name, share in seal["decided"].items()},
        {str(name): str(number) for name, number in seal["made_by"].items()},
    )


def _raw(folder: Path) -> Raw:
    path = folder / RAW
    try:
        return raw_from_dict(unsealed(path.read_text(encoding="utf-8")))
    except (ValueError, json.JSONDecodeError) as error:
        raise ArtefactError(f"{path} is damaged or cannot be read here: {error}") from error


def _refuse_changed(folder: Path) -> None:
    wrong = check_sums(folder)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise ArtefactError(
            f"{wrong[0]}{more}: bring it back as it was, or run the fine-tuning again"
        )
