"""A folder in CelebA's official layout, of noise, and a tiny network to look at it with."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn


def write_faces(folder: Path, number: int, seed: int = 0) -> Path:
    """``number`` images of noise whose brightness follows label and group."""
    draw = np.random.default_rng(seed)
    names = [f"{i + 1:06d}.jpg" for i in range(number)]
    male = draw.random(number) < 0.5
    wavy = draw.random(number) < np.where(male, 0.3, 0.6)
    lines = [f"{number}", "Male Wavy_Hair"]
    (folder / "img_align_celeba").mkdir(parents=True)
    for name, m, w in zip(names, male, wavy, strict=True):
        lines.append(f"{name} {1 if m else -1} {1 if w else -1}")
        pixels = draw.integers(0, 150, (20, 16, 3)) + np.array([60 * m, 60 * w, 0])
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG")
        (folder / "img_align_celeba" / name).write_bytes(buffer.getvalue())
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    return folder


def build() -> nn.Module:
    """A convolution, a pool and a head: what ``--model faces:build`` names."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)
        )
