"""What a row costs before it is features: decoding an image, and the backbone's operations."""

from __future__ import annotations

import io
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

FACE, PHOTO = (178, 218), (500, 375)
"""Sides of CelebA's images, and of ImageNet's as most are."""


@dataclass(frozen=True)
class Extraction:
    """A ResNet-18 at two sizes, and the reading of one face.

    Attributes:
        what: the larger size, in words.
        seconds, predicted: at the larger size, by the clock and by the rate of the smaller.
        flops_per_second: the rate.
        flops_at_224: operations of one image of 224 pixels, counted.
        decode_seconds: of reading and preparing one JPEG of CelebA's size, on one thread.
        photo_seconds: of one of ImageNet's usual size.
        listing_seconds: of finding one sample, an image with its class, in a WebDataset shard.
    """

    what: str
    seconds: float
    predicted: float
    flops_per_second: float
    flops_at_224: float
    decode_seconds: float
    photo_seconds: float
    listing_seconds: float


def extraction(quick: bool) -> Extraction | None:
    """None without torchvision."""
    try:
        from torchvision.models import resnet18
    except ImportError:
        return None
    torch.manual_seed(0)
    model = resnet18(weights=None).eval()
    small, large, images = (32, 48, 4) if quick else (96, 160, 32)
    flops = {side: _flops(model, side) for side in (small, large, 224)}
    seconds = {side: _forward(model, side, images) for side in (small, large)}
    rate = images * flops[small] / seconds[small]
    return Extraction(
        f"ResNet-18, {images} images of {large} pixels",
        seconds[large],
        images * flops[large] / rate,
        rate,
        flops[224],
        _decode(FACE, 8 if quick else 100),
        _decode(PHOTO, 8 if quick else 100),
        _listing(50 if quick else 10_000),
    )


def _flops(model: Any, side: int) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, side, side))
    return float(counter.get_total_flops())


def _forward(model: Any, side: int, images: int) -> float:
    batch = torch.zeros(images, 3, side, side)
    seconds = []
    with torch.inference_mode():
        for _ in range(4):
            began = time.perf_counter()
            model(batch)
            seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def _decode(sides: tuple[int, int], images: int) -> float:
    from PIL import Image

    from evenhand.models.prepare import PrepareImages

    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (sides[1] // 8, sides[0] // 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize(sides).save(file, "JPEG", quality=90)
    prepare = PrepareImages(224)
    began = time.perf_counter()
    for _ in range(images):
        prepare([Image.open(io.BytesIO(file.getvalue())).convert("RGB")])
    return (time.perf_counter() - began) / images


def _listing(samples: int) -> float:
    """Seconds a sample, of a tar whose times have fractions, as WebDataset's have."""
    from evenhand.tasks.shards import shard_table

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard-0000.tar"
        with tarfile.open(path, "w") as tar:
            for name in (f"{at:08d}.{end}" for at in range(samples) for end in ("cls", "jpg")):
                member = tarfile.TarInfo(name)
                content = b"3" if name.endswith("cls") else bytes(5_000)
                member.size, member.mtime = len(content), 1_700_000_000.25
                tar.addfile(member, io.BytesIO(content))
        began = time.perf_counter()
        shard_table(path)
        return (time.perf_counter() - began) / samples
