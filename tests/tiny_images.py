"""Tiny images for the tests of tasks."""

import io

import numpy as np
from PIL import Image


def jpeg(seed: int, size=(24, 20), mode="RGB", form="JPEG") -> bytes:
    rng = np.random.default_rng(seed)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    image = Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8))
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, form)
    return buffer.getvalue()
