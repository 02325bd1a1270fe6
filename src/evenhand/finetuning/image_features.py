"""Images that are to be decided, read on every core while the model runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenhand._base.arrays import FloatArray
from evenhand.models.backbone import Backbone
from evenhand.models.features.runner import Runner


def image_features(
    backbone: Backbone, images: Sequence[Any], rows: Sequence[int], batch: int
) -> tuple[FloatArray, dict[int, str]]:
    """(len(rows), d) what the head reads, zeros where unreadable, and those rows with the reason.

    Args:
        backbone: where it is; on a GPU batches grow to what its memory holds.
        images: of which rows are read.
        rows: which.
        batch: images of a forward pass, on a processor.
    """
    size = None if backbone.device.type == "cuda" else batch
    runner = Runner(backbone, images, size, "float32", None, 1.0)
    with runner.running():
        return runner.run(np.array(rows, dtype=np.int64), lambda _: None, len(rows))
