"""The same rows as a head reads them that reads several depths of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evenhand._base.arrays import Float64, FloatArray
from evenhand.errors import ModelError
from evenhand.models.backbone import Backbone
from evenhand.models.deep_readout import DeepReadout, deepened, scaled
from evenhand.models.features.disk_array import Stored
from evenhand.models.features.reading import UNREADABLE
from evenhand.models.find_taps import DEEPEST

TRACED = 8
"""Inputs that a model is traced on."""


RAW_SCALE = 0.5
"""What the inputs of a table are multiplied by, centred: they weigh less than what was learnt."""


USUAL = (0.1, 10.0)
"""Inputs whose typical deviation lies outside of this are first brought to 1."""


STEP = 1 << 16


@dataclass(frozen=True, eq=False)
class Depth:
    """What a deep head reads.

    Attributes:
        backbone: the model with the taps, its features scaled as those here are.
        features: split to its (N, D) features, the head's own input first.
    """

    backbone: Backbone
    features: Mapping[str, FloatArray]


def most_taps(depth: int | str) -> int:
    """How many stages to read besides the head's own input: a number, or ``"auto"``."""
    return DEEPEST if depth == "auto" else int(depth)


def deep_backbone(backbone: Backbone, inputs: Sequence[Any], depth: int | str) -> Backbone | None:
    """The backbone with its taps, unscaled.

    None where none is wanted, where it has no such stage, and where no input can be read, which is
    for who reads them all to say.

    Args:
        backbone: the model.
        inputs: raw inputs, the first readable ones of which it is traced on.
        depth: see :func:`most_taps`.
    """
    if most_taps(depth) < 1 or isinstance(backbone.model, DeepReadout):
        return None
    readable = _readable(inputs)
    return deepened(backbone, readable, most_taps(depth)) if readable else None


def _readable(inputs: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for place in range(len(inputs)):
        try:
            found.append(inputs[place])
        except UNREADABLE:
            continue
        if len(found) == TRACED:
            break
    return found


def scaled_depth(backbone: Backbone, features: Mapping[str, FloatArray]) -> Depth:
    """Every block of the features brought to the size of the head's own input.

    Each is multiplied by one number, the own input's standard deviation over the block's; a row of
    a table is centred and halved instead. Both are of the train rows.

    Args:
        backbone: with taps, unscaled.
        features: split to its (N, D) features as the backbone gives them.

    Raises:
        ModelError: the backbone has no taps.
    """
    model = backbone.model
    if not isinstance(model, DeepReadout):
        raise ModelError(f"{backbone.name} reads its own features alone")
    mean, variance = moments(features["train"])
    centre, scale = np.zeros(model.width), np.ones(model.width)
    own = np.sqrt(variance[: model.own.width].mean())
    start = model.own.width
    for tap in model.taps:
        block = slice(start, start + tap.width)
        size = np.sqrt(variance[block].mean())
        if tap.raw:
            centre[block] = mean[block]
            scale[block] = RAW_SCALE / (1 if USUAL[0] <= size <= USUAL[1] else size or 1)
        else:
            scale[block] = own / size if size > 0 and own > 0 else 1
        start += tap.width
    centre, scale = (values.astype(np.float32).astype(np.float64) for values in (centre, scale))
    return Depth(
        scaled(backbone, centre, scale),
        {split: _scaled(rows, centre, scale) for split, rows in features.items()},
    )


def array_features(backbone: Backbone, inputs: Sequence[Any]) -> Float64:
    """(N, D) what a backbone of arrays reads for its (N, inputs) rows, in one pass of the model."""
    with torch.inference_mode():
        return backbone.read(backbone.prepare(inputs)).cpu().double().numpy()


def own_features(features: FloatArray, width: int) -> FloatArray:
    """(N, width) the head's own input, of features that hold more."""
    if features.shape[1] == width:
        return features
    if isinstance(features, Stored):
        return features.scaled(np.zeros(width), np.ones(width))
    return features[:, :width]


def moments(features: FloatArray) -> tuple[Float64, Float64]:
    """(D,) mean and variance of each column, read in steps."""
    total, squares = np.zeros(features.shape[1]), np.zeros(features.shape[1])
    shift = np.asarray(features[:1], dtype=np.float64).sum(axis=0)
    for start in range(0, len(features), STEP):
        part = np.asarray(features[start : start + STEP], dtype=np.float64) - shift
        total += part.sum(axis=0)
        squares += (part**2).sum(axis=0)
    number = max(len(features), 1)
    return shift + total / number, np.maximum(squares / number - (total / number) ** 2, 0)


def _scaled(features: FloatArray, centre: Float64, scale: Float64) -> FloatArray:
    if isinstance(features, Stored):
        return features.scaled(centre, scale)
    kind = features.dtype
    result: FloatArray = (features - centre.astype(kind)) * scale.astype(kind)
    return result
