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


def test_a_batch_is_normalised_in_two_steps_as_in_one():
    rng = np.random.default_rng(0)
    prepare = PrepareImages(8)
    photos = [rng.integers(0, 255, (12, 9, 3), dtype=np.uint8), rng.integers(0, 255, (8, 8, 3))]
    photos[1] = photos[1].astype(np.uint8)
    squares = [prepare.each(photo) for photo in photos]
    assert squares[1] is photos[1]  # nothing is to be cut
    np.testing.assert_array_equal(squares[1], prepare.each(Image.fromarray(photos[1])))
    stacked = prepare.stack(squares)
    assert (stacked.dtype, stacked.shape) == (torch.uint8, (2, 8, 8, 3))
    assert torch.equal(prepare.finish(stacked), prepare(photos))
    assert torch.equal(stacked, prepare.stack(squares))  # left as it was
