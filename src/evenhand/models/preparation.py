"""How a model prepares raw inputs, as data: written beside it, and made again from there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from evenhand.errors import ArtefactError, InputError
from evenhand.models.backbone import Prepare
from evenhand.models.from_timm import PrepareTimm, timm_from_dict
from evenhand.models.prepare import (
    PrepareArrays,
    PrepareImages,
    PreparePixelValues,
    PrepareTexts,
)


def preparation_to_dict(prepare: Prepare) -> dict[str, Any]:
    """What ``prepare`` does, in JSON's types; a tokenizer or processor lies beside it."""
    if isinstance(prepare, PrepareArrays):
        return {"kind": "arrays"}
    if isinstance(prepare, PrepareImages):
        return {
            "kind": "images",
            "resize": "shorter side",
            "interpolation": "bilinear, antialiased",
            "crop": "centre",
            "size": prepare.size,
            "mean": list(prepare.mean),
            "std": list(prepare.std),
        }
    if isinstance(prepare, PrepareTimm):
        return {"kind": "timm", **asdict(prepare)}
    if isinstance(prepare, PrepareTexts):
        return {"kind": "texts", "max_length": prepare.max_length, "tokenizer": prepare.name}
    if isinstance(prepare, PreparePixelValues):
        return {"kind": "pixel values"}
    name = getattr(prepare, "__qualname__", type(prepare).__qualname__)
    return {"kind": "own", "name": str(name)}


def preparation_from_dict(
    document: dict[str, Any], folder: Path, model: nn.Module, own: Prepare | None = None
) -> Prepare:
    """The preparation that :func:`preparation_to_dict` described.

    Args:
        document: what it gave.
        folder: where the tokenizer or processor lies.
        model: what the prepared inputs are for.
        own: the user's function, where the model was given one.

    Raises:
        InputError: the model was given a function of the user's own, and it is not given again.
        ArtefactError: not a preparation.
    """  # noqa: DOC501 - of those it catches, its own pass
    if own is not None:
        return own
    try:
        match document["kind"]:
            case "arrays":
                return PrepareArrays()
            case "images":
                mean, std = (tuple(map(float, document[key])) for key in ("mean", "std"))
                return PrepareImages(int(document["size"]), mean, std)  # type: ignore[arg-type]
            case "timm":
                return timm_from_dict(document)
            case "texts":
                from evenhand.models.from_transformers import prepare_texts

                return prepare_texts(folder, model, int(document["max_length"]))
            case "pixel values":
                from evenhand.models.from_transformers import prepare_pixel_values

                return prepare_pixel_values(folder)
            case "own":
                raise InputError(
                    f"the model in {folder} prepares its inputs by {document.get('name')}, a "
                    "function of yours: give it as `prepare`"
                )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise ArtefactError(f"the preparation of inputs in {folder} is damaged: {error}") from error
    raise ArtefactError(f"{folder} names an unknown preparation {document['kind']!r}")
