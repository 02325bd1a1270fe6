"""What a user asks to be fine-tuned: a task, its data and a model, made into a stage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand._base.distributed import ALONE, World
from evenhand._base.seals import content_digest
from evenhand.errors import InputError
from evenhand.tasks.image_places import digest_of_tars
from evenhand.tasks.shard_names import is_shards, shard_files

if TYPE_CHECKING:
    from evenhand.finetuning.fair_model import FairModel
    from evenhand.finetuning.request import FinetuneRequest
    from evenhand.finetuning.stage import Stage
    from evenhand.models.backbone import Backbone
    from evenhand.models.features.extract import Running
    from evenhand.tasks.task import Task


KINDS = {"celeba": "images", "lfwa": "images", "adult": "table"}
"""What the built-in tasks decide."""


@dataclass(frozen=True)
class Recipe:
    """A task with its data and model, for any number of seeds.

    Attributes:
        config: what is asked.
        cache: root of the caches of features and pre-trained MLPs; None for the platform's.
        progress: show bars on long work.
        all_deep: the stages' own features are those of several depths, for every method.
    """

    config: FinetuneRequest
    cache: Path | None = None
    progress: bool = False
    all_deep: bool = False

    @property
    def task(self) -> str:
        """What the results call the task."""
        return self.config.called

    @property
    def inputs(self) -> dict[str, str]:
        """sha256 of each file or folder the user gave: ``data``, ``weights`` and ``model``.

        Of shards, of their names, sizes and times.

        Raises:
            InputError: one is not there any more, or cannot be read.
        """  # noqa: DOC502
        given = {
            "data": self.config.data,
            "weights": self.config.weights,
            "model": self.config.model,
            "from_run": self.config.from_run,
        }
        there = {name: Path(value) for name, value in given.items() if value}
        return {
            name: _digest(path) for name, path in there.items() if name == "data" or path.exists()
        }

    def stage(self, seed: int, world: World = ALONE) -> Stage:
        """The stage at ``seed``: its split, its pre-trained model, its features.

        Several processes share the extraction; a model is pre-trained by the first, before the
        others find it in the cache.

        Raises:
            InputError: the data cannot be read, or groups asked for are not in them.
        """
        from evenhand.finetuning.carry_on import require_unseen_test_rows
        from evenhand.finetuning.regroup import regrouped

        require_unseen_test_rows(self.config, seed)
        stage = regrouped(self._stage(seed, world), self.config.regrouping)
        if not self.all_deep:
            return stage
        if stage.deep is None:
            raise InputError(
                f"{stage.backbone.name} has no stage before its head's own input that could be "
                "read: leave out --depth"
            )
        return replace(stage.deep, task=f"{stage.task} (deep)")

    def _stage(self, seed: int, world: World) -> Stage:
        if self.config.task == "adult" and self.config.model is None:
            early = self._adult(seed) if world.first else None
            world.wait()
            return early or self._adult(seed)
        from evenhand.finetuning.stage import task_stage

        return task_stage(
            self._task(seed),
            self._backbone(),
            seed=seed,
            cache=self.cache,
            depth=self.config.depth,
            trained=self.config.trained,
            **self._running(world),
        )

    def _running(self, world: World = ALONE) -> Running:
        return {**self.config.running, "progress": self.progress, "world": world}

    def extract(self, seed: int) -> None:
        """Put the features of every split into the cache, where a model gives them."""
        backbone = self._backbone()
        if backbone is None:
            return
        from evenhand.finetuning.depth import deep_backbone
        from evenhand.models.features import extract_task

        task = self._task(seed)
        deep = deep_backbone(backbone, task.train.inputs, self.config.depth)
        extract_task(deep or backbone, task, root=self.cache, **self._running())

    @cached_property
    def _old(self) -> FairModel | None:
        """The model to carry on from."""
        if self.config.from_run is None:
            return None
        from evenhand.finetuning.artefact import load

        old = load(self.config.from_run)
        kind = KINDS.get(self.config.task, self.config.task)
        found = "arrays" if old.raw is None else old.raw.kind
        if found != kind:
            raise InputError(
                f"the run in {self.config.from_run} decides {found}, and this task is {kind}: "
                "carry on from a run of the same kind"
            )
        return old

    def _task(self, seed: int) -> Task:
        old = self._old
        if old is None or self.config.task != "table":
            return self.config.load(seed=seed)
        return self.config.load(seed=seed, features=old.raw)

    def _backbone(self) -> Backbone | None:
        if self._old is not None:
            return self._old.backbone
        if self.config.model is None:
            return None
        from evenhand.models import load

        backbone = load(
            self.config.model,
            weights=self.config.weights,
            head=self.config.head,
            size=self.config.image_size,
            max_length=self.config.max_length,
        )
        return replace(backbone, pretrained_head=False) if self.config.fresh_head else backbone

    def _adult(self, seed: int) -> Stage:
        from evenhand.finetuning.carry_on import adult_carried_on
        from evenhand.finetuning.mlp_stage import adult_stage

        if self._old is not None:
            return adult_carried_on(self._old, self.config, seed)
        return adult_stage(
            seed=seed,
            group=",".join(self.config.groups) or "sex",
            label=self.config.one_label or "income",
            layers=self.config.layers,
            cache=self.cache,
            depth=self.config.depth,
        )


def recipe(
    task: str,
    *,
    cache: Path | None = None,
    progress: bool = False,
    several: bool = False,
    **given: Any,
) -> Recipe:
    """The recipe for a built-in task's name or a task file.

    Args:
        task: its name, or the path of a task file.
        cache: root of the caches; None for the platform's.
        progress: show bars on long work.
        several: labels may be asked for.
        given: options of :class:`~evenhand.finetuning.request.FinetuneRequest`, in place of the
            file's.

    Raises:
        InputError: no such task or file, or an option that cannot be.
    """
    from evenhand.finetuning.request import FinetuneRequest
    from evenhand.finetuning.task_file import read_config
    from evenhand.tasks import names

    if task.endswith((".yaml", ".yml")):
        request = read_config(task)
    elif task in names():
        request = FinetuneRequest(task)
    else:
        raise InputError(
            f"no task {task!r}: give a task file (evenhand init > task.yaml) or one of "
            f"{', '.join(names())}"
        )
    made = Recipe(request.changed(given), cache, progress)
    if not several:
        _ = made.config.one_label  # an InputError where there are more
    return made


def _digest(given: Path) -> str:
    if not is_shards(given):
        return content_digest(given)
    return digest_of_tars(shard_files(given))
