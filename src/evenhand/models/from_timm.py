"""timm's models, prepared as their own pretrained_cfg says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evenhand.errors import InputError, MissingExtraError
from evenhand.models.backbone import Backbone
from evenhand.models.find_head import find_head
from evenhand.models.transformers_folder import reason

PREFIXES = ("timm:", "hf-hub:")


@dataclass(frozen=True)
class PrepareTimm:
    """PIL images (or (H, W, 3) uint8 arrays) to one tensor, by timm's transform for evaluation.

    Attributes:
        size: (channels, height, width) of the input.
        interpolation, crop_pct, crop_mode, mean, std: as timm's ``create_transform`` takes them.
    """

    size: tuple[int, int, int]
    interpolation: str
    crop_pct: float
    crop_mode: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, model: nn.Module, side: int | None = None) -> PrepareTimm:
        """What a model of timm asks for; with ``side`` pixels a side, where that is given."""
        from timm.data import resolve_model_data_config

        found = resolve_model_data_config(model)
        channels, height, width = found["input_size"]
        return cls(
            (channels, side or height, side or width),
            found["interpolation"],
            float(found["crop_pct"]),
            found["crop_mode"],
            tuple(map(float, found["mean"])),
            tuple(map(float, found["std"])),
        )

    def __call__(self, inputs: Sequence[Any]) -> torch.Tensor:
        """Resize, crop and normalise each image."""
        return self.together([self.each(image) for image in inputs])

    def each(self, image: Any) -> torch.Tensor:
        """(channels, height, width) of one image: a batch holds no whole photo."""
        from PIL import Image
        from timm.data import create_transform

        transform = create_transform(
            self.size,
            interpolation=self.interpolation,
            crop_pct=self.crop_pct,
            crop_mode=self.crop_mode,
            mean=self.mean,
            std=self.std,
        )
        whole = Image.fromarray(image) if not hasattr(image, "convert") else image
        pixels: torch.Tensor = transform(whole.convert("RGB" if self.size[0] == 3 else "L"))
        return pixels

    def together(self, pixels: Sequence[torch.Tensor]) -> torch.Tensor:
        """What :meth:`each` gave for some images, as one batch."""
        return torch.stack(list(pixels))


def timm_from_dict(document: dict[str, Any]) -> PrepareTimm:
    """The preparation that was kept as plain values, a list for each tuple."""
    channels, height, width = map(int, document["size"])
    return PrepareTimm(
        (channels, height, width),
        str(document["interpolation"]),
        float(document["crop_pct"]),
        str(document["crop_mode"]),
        tuple(map(float, document["mean"])),
        tuple(map(float, document["std"])),
    )


def is_timm(name: str) -> bool:
    """Whether a model is called as timm's are: ``timm:NAME`` or ``hf-hub:OWNER/NAME``."""
    return name.startswith(PREFIXES)


def load_timm(
    name: str,
    *,
    weights: str | Path | None = None,
    head: str | None = None,
    size: int | None = None,
) -> Backbone:
    """A model of timm's.

    Args:
        name: ``timm:`` and its name there, such as ``timm:resnet18.a1_in1k``; or ``hf-hub:`` and
            its name on the hub.
        weights: a file, in place of those that timm downloads once.
        head: the head's path; found if None.
        size: side in pixels; None: the model's own.

    Raises:
        MissingExtraError: timm is not installed.
        InputError: no such model, or its weights cannot be had.
        ArtefactError: the file holds the weights of another model.
    """  # noqa: DOC502
    from evenhand.models.adopt_weights import adopt
    from evenhand.models.weights import read_weights

    timm = _timm(name)
    called = name.removeprefix("timm:")
    try:
        with torch.random.fork_rng(devices=[]):
            model: nn.Module = timm.create_model(called, pretrained=weights is None)
    except Exception as error:  # no such name, no network, no such file on the hub
        near = timm.list_models(f"*{called.partition('.')[0]}*")[:5]
        hint = f"; timm has {', '.join(near)}" if near else ""
        raise InputError(
            f"timm could not make {called!r}: {reason(error)}{hint}. Weights of your own: "
            "--weights FILE"
        ) from error
    path, brought = find_head(model, head), True
    if weights is not None:
        brought = adopt(model, read_weights(Path(weights))[0], path, str(weights))
    settings: Any = model.pretrained_cfg
    architecture = settings.get("architecture") or called.partition(".")[0]
    source = {"library": "timm", "name": str(architecture)}
    found = {"base_model": settings.get("hf_hub_id"), "license": settings.get("license")}
    if weights is None:
        source |= {key: str(value) for key, value in found.items() if value}
    label = called.rpartition("/")[2]
    prepare = PrepareTimm.of(model, size)
    made = Backbone(model.eval(), path, prepare, label, pretrained_head=brought, source=source)
    return replace(made, guessed=head is None)


def empty_timm(name: str, classes: int) -> nn.Module:
    """The module of an architecture, its weights yet to be loaded; nothing is downloaded.

    Args:
        name: timm's name of it.
        classes: what its head tells apart.

    Raises:
        MissingExtraError: timm is not installed.
        InputError: timm has no such model.
    """  # noqa: DOC502
    timm = _timm(name)
    if not timm.is_model(name):
        raise InputError(f"timm has no model {name!r}")
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
    return model.eval()


def _timm(name: str) -> Any:
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("timm", "timm", f"model {name!r}") from error
    return timm
