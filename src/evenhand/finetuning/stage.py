"""From a task and a model to a problem: features of every split, and the head to begin from."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from evenhand._base.arrays import FloatArray
from evenhand._base.devices import Precision, device_of, precision_of
from evenhand._base.distributed import ALONE, World
from evenhand.finetuning.linear_model import FINGERPRINT, LinearModel, first_head, linear_rows
from evenhand.finetuning.problem import Problem, Queries
from evenhand.finetuning.train_folds import HEAD, LAST_LAYER
from evenhand.rows import PROCESSOR, Rows
from evenhand.tasks.inputs import View
from evenhand.tasks.raw import Raw
from evenhand.tasks.task import Task

if TYPE_CHECKING:
    import torch

    from evenhand.finetuning.depth import Depth
    from evenhand.finetuning.inmodel.cut_rows import CutRows
    from evenhand.finetuning.trained import Trained
    from evenhand.models.backbone import Backbone
    from evenhand.models.features.extract import Running


FITTED = ("train", "valid", "test")
"""The splits whose decisions a run is fitted, chosen and reported on."""


@dataclass(frozen=True, eq=False)
class Stage:
    """A problem with its test rows, which nothing is fitted or chosen on.

    Attributes:
        task: what the results call the task.
        problem: what methods see.
        test: the test rows.
        test_inputs: (N, inputs) what the whole network reads for them; None with features only.
        model: the pre-trained model, or the linear one of a task that is given none.
        fingerprints: sha256 of the task and of the model.
        seconds: of making it (pre-training, features).
        notes: what a reader should know of how it was made.
        raw: what makes an input of a raw row; None where the task was made of arrays.
        label: what is decided.
        inputs: split name to its rows' inputs, as the backbone's ``prepare`` takes them.
        depth: what a head reads that reads more of the model than its head does; None without.
        trained: the model with layers below its head trained too; None without.
        caught: what the last block reads of each row, where it is to be trained.
        world: the processes that have the same stage, and share what is made from it.
        precision: what the model computed its features in.
    """

    task: str
    problem: Problem
    test: Rows
    test_inputs: FloatArray | None
    model: Backbone | LinearModel
    fingerprints: dict[str, str]
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()
    raw: Raw | None = None
    label: str = "label"
    inputs: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    depth: Depth | None = None
    trained: Trained | None = None
    caught: CutRows | None = None
    world: World = ALONE
    precision: Precision = "float32"

    @property
    def backbone(self) -> Backbone:
        """The model before."""
        return self.model.backbone if isinstance(self.model, LinearModel) else self.model

    def with_depth(self, depth: Depth) -> Stage:
        """The same stage with what a head reads that reads several depths of the model."""
        fitted_on = depth.features["train"], depth.features["valid"]
        return replace(self, depth=depth, problem=replace(self.problem, deep_features=fitted_on))

    @cached_property
    def deep(self) -> Stage | None:
        """The same problem seen through several depths of the model; None without."""
        problem = self.problem.deep
        if self.depth is None or problem is None:
            return None
        if self.problem.network is not None:
            network = replace(self.problem.network, model=self.depth.backbone.model)
            problem = replace(problem, network=network)
        return replace(
            self,
            problem=problem,
            test=self.test.with_features(self.depth.features["test"]),
            model=self.depth.backbone,
            depth=None,
        )

    @cached_property
    def below_head(self) -> Stage | None:
        """The same problem seen through the model that was trained below its head; None without."""
        trained = self.trained
        if trained is None:
            return None
        return replace(
            self,
            problem=self.problem.on(trained.features["train"], trained.features["valid"]),
            test=self.test.with_features(trained.features["test"]),
            model=trained.backbone,
            depth=None,
            trained=None,
        )

    @property
    def reads(self) -> list[str]:
        """What the head reads of the model besides its own input."""
        return [str(tap) for tap in getattr(self.backbone.model, "taps", ())]

    def queries_of(self, split: str) -> Queries:
        """The rows of any split as a fitted method may read them."""
        if split == "test":
            return self.queries
        network = self.problem.network
        inputs = None if network is None else getattr(network, split)
        rows: Rows = getattr(self.problem, split)
        return Queries(rows.features, inputs, rows.groups, *self._other_readings(split))

    def _other_readings(self, split: str) -> tuple[FloatArray | None, FloatArray | None]:
        """What heads read that read several depths, and those of a model trained below its head."""
        deep = None if self.depth is None else self.depth.features[split]
        return deep, None if self.trained is None else self.trained.features[split]

    @property
    def tells_unknown_groups(self) -> bool:
        """Whether the task has told already how many of its rows have no known group."""
        attribute = self.problem.train.groups.attribute
        return any(f"have no {attribute}: " in note for note in self.notes)

    @property
    def queries(self) -> Queries:
        """The test rows as a fitted method may read them."""
        features, groups = self.test.features, self.test.groups
        return Queries(features, self.test_inputs, groups, *self._other_readings("test"))


def task_stage(
    task: Task,
    backbone: Backbone | None = None,
    *,
    seed: int = 0,
    cache: Path | None = None,
    use_cache: bool = True,
    depth: int | str = 0,
    trained: str = HEAD,
    **running: Unpack[Running],
) -> Stage:
    """Any task seen through any backbone: features once (cached), and the head to begin from.

    Args:
        task: its inputs are what the backbone's ``prepare`` takes.
        backbone: the pre-trained model; None, for a task of arrays, is the inputs themselves.
        seed: every random choice of a method comes from it.
        cache: root of the feature cache.
        use_cache: False reads and writes none.
        depth: how many stages before the head's own input are read too, in the same pass:
            ``"auto"``, 0, 1 or 2.
        trained: what of the model will be: what the last block reads is kept in the same pass.
        running: how features are extracted (``device``, ``precision``, ``batch_size``,
            ``progress``, …), as for :func:`evenhand.models.features.extract_task`; heads are fitted
            on the ``device`` that is named, where the rows are many. Processes of a ``world`` share
            it; all call, and get the same stage.

    Raises:
        InputError: there is no backbone, and the task's inputs are no arrays.
    """  # noqa: DOC502
    if backbone is None:
        return _linear_stage(task, seed, running.get("device"))
    from evenhand.finetuning.depth import deep_backbone, own_features, scaled_depth
    from evenhand.models.features import extract_task, pretrained_head
    from evenhand.models.find_taps import last_block

    deep = deep_backbone(backbone, task.train.inputs, depth)
    caught = None
    precision = _precision(running, backbone)
    alone = running.get("world", ALONE).size == 1
    if trained == LAST_LAYER and alone and precision == "float32":  # it reads what it was given
        from evenhand.finetuning.inmodel.cut_rows import CutRows

        caught = CutRows(backbone, [last_block(backbone)])
        running = {**running, "watch": caught.watch}
    found = extract_task(deep or backbone, task, root=cache, use_cache=use_cache, **running)
    read = {name: found.splits[name].features for name in FITTED}
    device = str(running.get("device") or PROCESSOR)
    train, valid, test = (
        replace(
            found.splits[name],
            features=own_features(read[name], backbone.in_features),
            device=device,
        )
        for name in FITTED
    )
    head = pretrained_head(backbone, task.classes)
    fresh = head is None
    if head is None:
        head = first_head(train, seed, intercept=backbone.has_bias)
    stage = Stage(
        task.name,
        Problem(train, valid, head, seed, fresh=fresh, intercept=backbone.has_bias),
        test,
        None,
        backbone,
        {"task": task.fingerprint, "model": backbone.fingerprint},
        {"features": found.seconds},
        (*task.notes, *found.notes, *_told(precision)),
        task.raw,
        task.label,
        {name: View(task.splits[name].inputs, found.kept[name]) for name in FITTED},
        caught=caught,
        world=running.get("world", ALONE),
        precision=precision,
    )
    return stage if deep is None else stage.with_depth(scaled_depth(deep, read))


def _precision(running: Running, backbone: Backbone) -> Precision:
    """What the model computes its features in."""
    device = device_of(running.get("device")) or backbone.device
    return precision_of(running.get("precision", "float32"), device)


def _told(precision: Precision) -> tuple[str, ...]:
    """What a reader should know of features that were not computed in full."""
    if precision == "float32":
        return ()
    return (
        f"features were computed in {precision}, and the model decides in float32: rows near the "
        "border between two decisions may be decided otherwise than they are counted "
        "(--precision float32 counts them as they are decided)",
    )


def _linear_stage(task: Task, seed: int, device: str | torch.device | None) -> Stage:
    """Nothing is extracted, and torch is not needed, unless heads are to be fitted on a device.

    That is named: to look for one takes longer than most fits.
    """
    began = time.perf_counter()
    named = PROCESSOR if device in (None, "auto") else str(device)
    rows = {name: replace(one, device=named) for name, one in linear_rows(task, FITTED).items()}
    seconds = {"features": time.perf_counter() - began}
    train = rows["train"]
    return Stage(
        task.name,
        Problem(train, rows["valid"], first_head(train, seed), seed, fresh=True),
        rows["test"],
        None,
        LinearModel(train.features.shape[1], len(task.classes)),
        {"task": task.fingerprint, "model": FINGERPRINT},
        seconds,
        task.notes,
        task.raw,
        task.label,
        {name: task.splits[name].inputs for name in FITTED},
    )
