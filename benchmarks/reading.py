"""Reading photos on every core against one thread, and how long a model waits for its batches."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import Options, Spread, in_turns, require
from benchmarks.rows import Row, faster

PHOTOS, BATCH, DIFFERENT, SIDES = 384, 32, 20, (500, 375)
"""Sides as ImageNet's."""


class _Files(Sequence[Any]):
    """JPEGs in memory, decoded as they are asked for."""

    def __init__(self, number: int) -> None:
        self.number, self.files = number, [_photo(seed) for seed in range(DIFFERENT)]

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, row: Any) -> Any:
        from evenhand.tasks.decode_image import decode

        return decode(self.files[row % DIFFERENT], "photo.jpg")


class _Light(nn.Module):
    """A model that takes no time."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


def _photo(seed: int) -> bytes:
    from PIL import Image

    rough = np.random.default_rng(seed).integers(0, 255, (25, 33, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(rough).resize(SIDES, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def run(options: Options) -> list[Row]:
    require("torchvision", "torchvision")
    from torchvision.models import resnet18

    from evenhand._base.threads import one_thread
    from evenhand.models import wrap
    from evenhand.models.prepare import PrepareImages

    number = BATCH if options.quick else PHOTOS
    repeats = 1 if options.quick else options.repeats
    files, prepare = _Files(number), PrepareImages(224)
    cores = torch.get_num_threads()

    def one_by_one() -> None:
        with one_thread():  # torch's own products, too
            for first in range(0, number, BATCH):
                prepare([files[row] for row in range(first, first + BATCH)])

    read = in_turns(
        {
            "every core": extraction(wrap(_Light(), "head", prepare=prepare), files),
            "one": one_by_one,
        },
        repeats,
    )
    torch.manual_seed(0)
    model = resnet18(weights=None).eval()
    ready = [prepare([files[row] for row in range(BATCH)])] * (number // BATCH)

    @torch.inference_mode()
    def forward() -> None:
        for batch in ready:
            model(batch)

    whole = in_turns(
        {
            "extraction": extraction(wrap(model, "fc", prepare=prepare), files),
            "forward": forward,
        },
        repeats,
    )
    waits = Spread.of(
        [
            100 * max(0.0, 1 - b / a)
            for a, b in zip(whole["extraction"], whole["forward"], strict=True)
        ]
    )
    return [
        faster(
            "reading",
            f"{number} JPEGs of {SIDES[0]} × {SIDES[1]} pixels, cut to 224; {cores} cores",
            "one thread",
            read["every core"],
            read["one"],
            bar=">= 1.8" if cores == 2 else "",
        ),
        Row(
            "reading",
            "what a ResNet-18 at 224 pixels waits for its batches",
            "its forward passes on ready batches",
            waits.median,
            waits.low,
            waits.high,
            "% of the extraction",
            Spread.of(whole["extraction"]).median,
            Spread.of(whole["forward"]).median,
        ),
    ]


def extraction(backbone: Any, inputs: Sequence[Any]) -> Callable[[], object]:
    """The features of all ``inputs``, read as a run reads them."""
    from evenhand.models.features.runner import Runner

    runner = Runner(backbone, inputs, BATCH, "float32", None, 0.0)
    rows = np.arange(len(inputs))

    def extract() -> object:
        with runner.running():
            return runner.run(rows, lambda _: None, len(rows))

    return extract
