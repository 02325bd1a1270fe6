"""The bytes of an image file to pixels, of the common formats only and of a sane size."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from evenhand.errors import InputError, MissingExtraError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What is decoded. Others (EPS starts another program, some have had no reader for years) are not:
their decoders are seldom looked at, and an image names its own."""


MAX_PIXELS = 90_000_000
"""More than any camera gives: photos have 12 to 60 million."""


LARGE, BOMB = 64_000_000, 500
"""An image of more than so many bytes in memory may not be so many times its file. Photos are 10 to
50 times theirs; what is one colour all over, up to 1,000 times."""


def decode(content: bytes, name: str) -> Any:
    """A PIL image in RGB.

    Grayscale, palette, CMYK and 16-bit images are converted, what is transparent becomes white,
    and a camera's rotation mark is obeyed.

    Raises:
        InputError: it is no image of :data:`FORMATS`, is cut short, or is a decompression bomb.
        MissingExtraError: pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtraError("pillow", "vision", "reading images") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below
            image: Any = Image.open(io.BytesIO(content), formats=FORMATS)
            _require_sane(image, len(content))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _as_rgb(image)
    except UnidentifiedImageError as error:
        raise InputError(
            f"image {name} is none of {', '.join(FORMATS)}, which are read, or is damaged: "
            "save it as PNG"
        ) from error
    except Exception as error:  # PIL's decoders raise whatever their format's parser does
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"image {name} cannot be decoded: {why}") from error


def _require_sane(image: Any, file_bytes: int) -> None:
    width, height = image.size
    pixels = width * height
    if pixels > MAX_PIXELS:
        raise InputError(f"it has {width:,} × {height:,} pixels, more than {MAX_PIXELS:,} in all")
    size = pixels * len(image.getbands())
    if size > LARGE and size > BOMB * file_bytes:
        raise InputError(
            f"its {file_bytes:,} bytes unpack to {size:,}, more than {BOMB} times as many"
        )


def _as_rgb(image: Any) -> Any:
    from PIL import Image

    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = Image.fromarray(_bytes(np.asarray(image), floating=image.mode == "F"))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _bytes(pixels: Any, *, floating: bool) -> Any:
    """Samples of 16 bits, or numbers from 0 to the largest, as 0 to 255, rounded down."""
    if floating:
        pixels = np.nan_to_num(pixels, posinf=0, neginf=0)
        top = max(float(np.max(pixels, initial=0)), 1e-12)
        return np.clip(pixels / top * 255, 0, 255).astype(np.uint8)
    return (np.clip(pixels, 0, 65535).astype(np.uint32) * 255 // 65535).astype(np.uint8)
