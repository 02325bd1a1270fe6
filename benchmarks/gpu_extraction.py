"""Extraction against the model's own forward passes on ready tensors: a part of ``gpu``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_device import NAME, NO_GPU, device_of, done, share
from benchmarks.measure import Options, in_turns, require
from benchmarks.rows import Row

FULL, SMALL = (61_440, 224), (48, 32)
"""Images, and pixels a side."""
DIFFERENT, BATCH, BAR = 1_024, 1_024, ">= 80"
"""Images in memory; those of a forward pass on ready tensors, as extraction grows to."""


class Squares(Sequence[Any]):
    """Images at hand, decoded and cut to size: what is measured is the road behind that."""

    name = "noise"

    def __init__(self, number: int, side: int) -> None:
        draw = np.random.default_rng(0)
        shape = min(number, DIFFERENT), side, side, 3
        self.values = draw.integers(0, 255, shape, dtype=np.uint8)
        self.number, self.fingerprint = number, f"{number:064d}"

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, row: Any) -> Any:
        return self.values[row % len(self.values)]


def rows_of_extraction(options: Options) -> list[Row]:
    """The share of a ResNet-50's own speed that its extraction has, cache and all."""
    number, side = SMALL if options.quick else FULL
    what = f"features of {number:,} images of {side} px by a ResNet-50 in bfloat16, into the cache"
    against = "its forward passes on ready tensors"
    device = device_of(options)
    if device is None:
        return [Row(NAME, what, against, bar=BAR, note=NO_GPU)]
    require("torchvision", "torchvision")
    from torchvision.models import resnet50

    from evenhand.groups import Groups
    from evenhand.models import wrap
    from evenhand.models.features import extract
    from evenhand.models.prepare import PrepareImages
    from evenhand.tasks.task import Examples

    torch.manual_seed(0)
    model, prepare = resnet50(weights=None).eval().to(device), PrepareImages(side)
    images, labels = Squares(number, side), np.arange(number) % 2
    examples = Examples(images, labels, Groups(labels, ("a", "b")))
    backbone = wrap(model, "fc", prepare=prepare)
    size = min(BATCH, number)
    ready = prepare([images[row] for row in range(size)]).to(device)

    def extracted() -> None:
        with tempfile.TemporaryDirectory() as folder:
            how = {"cache": Path(folder) / "entry", "device": device, "precision": "bfloat16"}
            extract(backbone, examples, ("n", "y"), **how)

    def forward() -> None:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16):
            for _ in range(number // size):
                model(ready)
        done(device)

    found = in_turns({"road": extracted, "forward": forward}, options.repeats)
    return [share(what, against, found["road"], found["forward"], BAR, options)]
