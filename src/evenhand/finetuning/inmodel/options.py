"""How adapters are trained, beside what is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from evenhand._base.distributed import ALONE, World
from evenhand._base.events import OnEvent
from evenhand.errors import InputError
from evenhand.finetuning.inmodel.training import OnEpoch
from evenhand.finetuning.inmodel.validating import Validate
from evenhand.models.backbone import Prepare


class AdaptOptions(TypedDict, total=False):
    """How adapters are trained; see :func:`adapt`."""

    rank_pattern: Mapping[str, int] | None
    groups: str
    classes: Sequence[str] | None
    ridge: float | None
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    cache: bool
    device: str | None
    precision: str
    prepare: Prepare | None
    seed: int
    accumulate: int
    refit: bool
    checkpoint: str | Path | None
    world: World
    compile: bool
    validate: Validate | None
    on_epoch: OnEpoch | None
    on_event: OnEvent | None


OPTIONS: dict[str, Any] = {
    "rank_pattern": None,
    "groups": "group",
    "classes": None,
    "ridge": None,
    "epochs": 15,
    "batch_size": 128,
    "learning_rate": 3e-3,
    "weight_decay": 1e-2,
    "cache": True,
    "device": None,
    "precision": "float32",
    "prepare": None,
    "seed": 0,
    "accumulate": 1,
    "refit": True,
    "checkpoint": None,
    "world": ALONE,
    "compile": False,
    "validate": None,
    "on_epoch": None,
    "on_event": None,
}


def check_budget(how: Mapping[str, Any], strength: float, rank: int | None) -> None:
    """Refuse a budget with which nothing can be trained.

    Raises:
        InputError: a number out of its range.
    """
    lowest = {name: how[name] for name in ("epochs", "batch_size", "accumulate")}
    for name, value in {**lowest, "rank": 1 if rank is None else rank}.items():
        if value < 1:
            raise InputError(f"{name} must be at least 1, found {value}")
    rate = how["learning_rate"]
    if not rate > 0 or not strength >= 0:
        raise InputError(
            "the learning rate must be above 0 and the strength at least 0, "
            f"found {rate} and {strength}"
        )
