"""Inputs prepared one by one give the batch that all of them together give."""

import numpy as np
import pytest
import torch
from PIL import Image

from evenhand.models.prepare import PrepareImages, PreparePixelValues


def pictures(number: int) -> list[Image.Image]:
    draw = np.random.default_rng(0)
    sizes = draw.integers(20, 90, (number, 2))
    shapes = [(int(h), int(w), 3) for h, w in sizes]
    return [Image.fromarray(draw.integers(0, 255, shape, dtype=np.uint8)) for shape in shapes]


def test_images_by_torchs_own_arithmetic():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    prepare = PrepareImages(16, mean, std)
    some = pictures(5)
    batch = prepare(some)
    assert batch.shape == (5, 3, 16, 16)
    for image, found in zip(some, batch, strict=True):
        square = torch.as_tensor(prepare.each(image)).permute(2, 0, 1).double() / 255
        right = (square - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        torch.testing.assert_close(found.double(), right.double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(prepare.together([prepare.each(i) for i in some]), batch)


def test_pixel_values_as_the_processor_gives_them_for_the_whole_batch():
    transformers = pytest.importorskip("transformers")
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    some = pictures(5)
    right = processor(some, return_tensors="pt")["pixel_values"]
    found = PreparePixelValues(processor)(some)["pixel_values"]
    torch.testing.assert_close(found, right, rtol=0, atol=0)
