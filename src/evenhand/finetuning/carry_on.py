"""Carrying on from a kept run: its model is the model before, and no test row has made it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand._base.asked import CONFIG, read_asked
from evenhand.errors import InputError
from evenhand.tasks.shard_names import is_shards, shard_files

if TYPE_CHECKING:
    from evenhand.finetuning.fair_model import FairModel
    from evenhand.finetuning.request import FinetuneRequest
    from evenhand.finetuning.stage import Stage

DRAWN = (
    "seed",
    "split",
    "split_by",
    "weight",
    "weight_kind",
    "label",
    "positive",
    "groups",
    "bins",
    "missing",
)
"""What rows are parted by, beside themselves: labels and groups are drawn in proportion."""


def require_unseen_test_rows(request: FinetuneRequest, seed: int) -> None:
    """Refuse to test the model of a run on rows that it was made from.

    A run on the same data is carried on with the same split: with another, rows that its model was
    fitted on would be among the test rows, and the model before would look better than it is.

    Args:
        request: what is asked.
        seed: of the split.

    Raises:
        InputError: the run that is carried on parted the same data otherwise.
    """
    if request.from_run is None or not (request.from_run / CONFIG).is_file():
        if request.from_run is not None and request.task == "adult":
            raise InputError(
                f"{request.from_run} says of no seed, and adult's rows are parted by it: carry on "
                "from the folder of a run, not from its model alone"
            )
        return
    before = read_asked(request.from_run)
    if before.get("task") != request.task or not _same_file(before.get("data"), request.data):
        return
    now = {**request.to_config(), "seed": seed}
    defaults = {field.name: field.default for field in fields(request)}
    for key in _parted_by(request):
        then, asked = before.get(key, defaults[key]), now.get(key, defaults[key])
        if then != asked:
            raise InputError(
                f"the run in {request.from_run} parted the same data by {key} {then}, not {asked}: "
                f"rows that made its model would test it; give the same {key}, or rows that it has "
                "not seen"
            )


def _parted_by(request: FinetuneRequest) -> tuple[str, ...]:
    if request.task == "adult":
        return ("seed",)
    return ("split",) if isinstance(request.split, str) else DRAWN


def _same_file(one: Any, other: Path | None) -> bool:
    if one is None or other is None:
        return one is other
    try:
        if is_shards(one) and is_shards(other):
            both = [{file.resolve() for file in shard_files(data)} for data in (one, other)]
            return bool(both[0] & both[1])
        return Path(one).samefile(other)
    except (OSError, InputError):
        return False


def adult_carried_on(old: FairModel, request: FinetuneRequest, seed: int) -> Stage:
    """Adult as an older run's model reads it.

    Args:
        old: its model.
        request: what is asked.
        seed: of the split and every random choice.

    Raises:
        InputError: a label that the model does not decide.
    """
    from evenhand.finetuning.mlp_stage import mlp_stage
    from evenhand.finetuning.stage import task_stage
    from evenhand.models.mlp import MLP
    from evenhand.tasks.datasets.adult import adult
    from evenhand.tasks.table_encoder import TableEncoder

    label = request.one_label or "income"
    if old.label != label or not isinstance(old.raw, TableEncoder):
        raise InputError(
            f"the run in {request.from_run} decides {old.label}, and {label} is asked for: carry "
            "on from a run of the same label"
        )
    group = ",".join(request.groups) or "sex"
    task = adult(seed=seed, group=group, label=label, encoder=old.raw)
    if isinstance(old.module, MLP):
        return mlp_stage(task, old.module, seed=seed)
    return task_stage(task, old.backbone, seed=seed)
