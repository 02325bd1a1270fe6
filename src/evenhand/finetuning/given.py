"""What a caller gives: a model in any form, and a task, its three splits or a table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand._base.out_of_scope import refuse_model
from evenhand.errors import InputError
from evenhand.tasks.from_arrays import task_of
from evenhand.tasks.task import Task
from evenhand.weights import Weights

if TYPE_CHECKING:
    from torch import nn

    from evenhand.finetuning.request import FinetuneRequest
    from evenhand.finetuning.stage import Stage
    from evenhand.models.backbone import Backbone
    from evenhand.models.features.extract import Running

PARTS = ("train", "valid", "test")
COLUMNS = (
    "label",
    "positive",
    "features",
    "drop",
    "text",
    "file",
    "split",
    "weight",
    "weight_kind",
)
"""What is asked of a table that is given."""
KEPT_IN = "features_kept_in"
"""Where several calls keep the features of a module that they share."""


def stage_given(
    model: nn.Module | Backbone | None,
    data: tuple[Any, ...],
    asked: Mapping[str, Any],
    *,
    groups: str,
    classes: Sequence[str] | None = None,
    head: str | None = None,
    processor: Any = None,
    progress: bool = False,
) -> tuple[Stage, FinetuneRequest]:
    """What :func:`evenhand.finetune` and :func:`evenhand.plan` are called with, made ready.

    Features of a backbone are kept in the platform's cache, those of a module in ``asked``'s
    :data:`KEPT_IN` alone.

    Raises:
        InputError: data of another form, or an option that cannot be.
        ModelError: no head, or an ambiguous one.
    """  # noqa: DOC502
    from evenhand.finetuning.regroup import regrouped
    from evenhand.finetuning.request import FinetuneRequest
    from evenhand.finetuning.stage import task_stage
    from evenhand.heads.selection.rule import parse_bounds

    given: dict[str, Any] = dict(asked)
    data = (*data, *(given.pop(part) for part in PARTS if part in given))
    columns = {key: given.pop(key) for key in COLUMNS if key in given}
    weights = given.pop("sample_weight", None)
    given.pop("on_event", None)
    cache = given.pop(KEPT_IN, None)
    name = given.pop("name", "task")
    bounds = parse_bounds(given.pop("bound", None))
    given["bound"] = {bound.criterion: bound.limit for bound in bounds}
    request = FinetuneRequest("table", name=name).changed(given)
    backbone = backbone_given(model, head, processor)
    options = columns | {"seed": request.seed, "name": name}
    task = task_given(data, groups, classes, options, backbone)
    if weights is not None:
        task = with_weights(task, weights, columns.get("weight_kind", "survey"))
    whole = model is not None and model is backbone
    if backbone is not None and not whole:
        backbone = replace(backbone, classes=task.classes)
    if backbone is not None and request.fresh_head:
        backbone = replace(backbone, pretrained_head=False)
    running: Running = {**request.running, "progress": progress}
    stage = task_stage(
        task,
        backbone,
        seed=request.seed,
        cache=cache,
        use_cache=whole or cache is not None,
        depth=request.depth,
        trained=request.trained,
        **running,
    )
    return regrouped(stage, request.regrouping), request


def with_weights(task: Task, weights: Any, kind: str = "survey") -> Task:
    """A task whose rows have weights.

    Args:
        task: without.
        weights: those of ``train``, ``valid`` and ``test`` in this order, or by these names; each
            (N,) numbers.
        kind: of the weights.

    Raises:
        InputError: weights of another form or of other rows, or the task has some already.
    """
    named = dict(weights) if isinstance(weights, Mapping) else None
    if named is None and isinstance(weights, Sequence) and len(weights) == len(PARTS):
        named = dict(zip(PARTS, weights, strict=True))
    if named is None or set(named) != set(PARTS):
        raise InputError(
            "sample_weight is the weights of train, valid and test, three arrays or a mapping; of "
            "a table give weight, the name of their column"
        )
    changed: dict[str, Any] = {}
    for name in PARTS:
        part = task.splits[name]
        if part.weights is not None:
            raise InputError(f"the rows of {name} have weights already; give them once")
        own = Weights.of(named[name], kind, f"sample_weight of {name}")
        changed[name] = replace(part, weights=own)
    digest = hashlib.sha256(task.fingerprint.encode())
    for part in changed.values():
        if part.weights is not None:
            digest.update(part.weights.values.tobytes() + part.weights.squares.tobytes())
    return replace(task, fingerprint=digest.hexdigest(), **changed)


def task_given(
    data: tuple[Any, ...],
    groups: str,
    classes: Sequence[str] | None,
    options: Mapping[str, Any],
    backbone: Backbone | None = None,
) -> Task:
    """The task that is given, that of the three splits, or that of a table.

    Args:
        data: what stands beside the model in a call.
        groups: what the groups are groups of: their key, or their column.
        classes: the class names, where they are given.
        options: ``name`` and ``seed``; of a table also ``label`` and what its task takes.
        backbone: the model, whose inputs say what is read of a table.

    Raises:
        InputError: neither is given, or the splits are of another form.
    """
    if len(data) == 1 and isinstance(data[0], Task):
        return data[0]
    if "label" in options:
        return _of_table(data, groups, options, backbone)
    if len(data) == 3:
        return task_of(*data, groups, classes, options["name"])
    kinds = ", ".join(type(part).__name__ for part in data) or "nothing"
    raise InputError(
        "give a model and a Task, or train, valid and test, or a table and its label; "
        f"found {kinds}"
    )


def _of_table(
    data: tuple[Any, ...], groups: str, options: Mapping[str, Any], backbone: Backbone | None
) -> Task:
    from evenhand.tasks import load

    if len(data) not in (1, 3):
        raise InputError(f"give one table, or train, valid and test; found {len(data)} of them")
    rows = data[0] if len(data) == 1 else dict(zip(PARTS, data, strict=True))
    given = dict(options)
    if given["name"] == "task" and isinstance(rows, str | Path):
        del given["name"]  # the file's own
    return load(read_by(backbone), data=rows, groups=groups, **given)


def read_by(backbone: Backbone | None) -> str:
    """What a model reads of a table: its columns, a text or an image."""
    if backbone is None:
        return "table"
    from evenhand.models.prepare import PrepareTexts

    if isinstance(backbone.prepare, PrepareTexts):
        return "text"
    return "images" if hasattr(backbone.prepare, "each") else "table"


def backbone_given(
    model: nn.Module | Backbone | None, head: str | None, processor: Any = None
) -> Backbone | None:
    """The model as a backbone; None where none is given.

    Raises:
        InputError: ``head`` names another head than a backbone's own, or there is a processor that
            nothing takes.
        ModelError: no head, or an ambiguous one.
    """  # noqa: DOC502
    no_processor = InputError("a processor is for a transformers model that is given as such")
    if model is None:
        if processor is not None:
            raise no_processor
        return None
    from evenhand.models import Backbone, wrap

    if processor is not None and isinstance(model, Backbone):
        raise no_processor
    if not isinstance(model, Backbone):
        refuse_model(model)
        return wrap(model, head, processor=processor)
    if head not in (None, model.head):
        raise InputError(f"{model.name} has the head {model.head!r}, not {head!r}: leave out head")
    return model
