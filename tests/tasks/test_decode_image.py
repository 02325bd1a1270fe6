"""Image files of any kind: pixels in RGB, or refused by name, soon and without much memory."""

import contextlib
import io
import subprocess
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features
from tiny_images import jpeg

from evenhand.errors import InputError
from evenhand.tasks.decode_image import FORMATS, decode


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(mode):
    pixels = np.linspace(0, 200, 12 * 10).reshape(10, 12)
    gray = Image.fromarray(pixels.astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray(pixels.astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray((pixels * 257).astype(np.int32))
    elif mode == "F":
        image = Image.fromarray((pixels / 200).astype(np.float32))
    else:
        image = gray.convert(mode)
    buffer = io.BytesIO()
    form = {"CMYK": "TIFF", "F": "TIFF", "I": "TIFF"}.get(mode, "PNG")
    image.save(buffer, form)
    found = decode(buffer.getvalue(), "x")
    assert (found.mode, found.size) == ("RGB", (12, 10))
    values = np.asarray(found, dtype=float)[..., 0]
    if mode == "I;16":
        assert (values == pixels.astype(np.uint16)).all()
    if mode not in ("1", "CMYK"):
        assert np.corrcoef(values.ravel(), pixels.ravel())[0, 1] > 0.99


def test_transparent_pixels_are_white():
    buffer = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(buffer, "PNG")
    assert np.asarray(decode(buffer.getvalue(), "x")).min() == 255


def test_an_image_cut_short_is_named():
    whole = jpeg(0)
    with pytest.raises(InputError, match=r"image face\.jpg cannot be decoded"):
        decode(whole[: len(whole) // 2], "face.jpg")


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff"])
def test_what_is_no_image_is_named(content):
    with pytest.raises(InputError, match=r"image face\.jpg is none of JPEG, PNG.* save it as PNG"):
        decode(content, "face.jpg")


def encoded(form: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (30, 20), "red").save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_common_formats_are_read(form):
    found = np.asarray(decode(encoded(form), "x"), dtype=int)
    assert found.shape == (20, 30, 3)
    assert abs(found - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("form", ["EPS", "TGA", "SGI", "PCX", "ICO", "DDS", "JPEG2000"])
def test_no_decoder_that_is_seldom_looked_at_is_run(form, monkeypatch):
    if form == "JPEG2000" and not features.check("jpg_2000"):
        pytest.skip("this Pillow writes no JPEG 2000")
    content = encoded(form)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    with pytest.raises(InputError, match="is none of JPEG, PNG"):
        decode(content, "face.png")


def blank(width: int, height: int) -> bytes:
    """A PNG of one colour, of one bit a pixel."""
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("size", "why"),
    [
        ((30000, 30000), r"exceeds limit|more than 90,000,000"),
        ((12000, 12000), "12,000 × 12,000 pixels, more than 90,000,000"),
        ((9000, 9000), "unpack to 81,000,000, more than 500 times as many"),
    ],
)
def test_a_small_file_of_a_huge_image_is_refused_at_once(size, why):
    content = blank(*size)
    assert len(content) < 200_000
    began = time.process_time()
    with pytest.raises(InputError, match=why):
        decode(content, "bomb.png")
    assert time.process_time() - began < 2


def test_a_blank_page_is_an_image():
    assert decode(blank(4960, 7016), "page.png").size == (4960, 7016)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_damaged_bytes_give_an_image_or_our_error(data):
    content = bytearray(jpeg(1, form="PNG"))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InputError):
        assert decode(bytes(content), "x").mode == "RGB"


TILES = np.kron(
    np.random.default_rng(0).integers(0, 256, (2, 3, 3)), np.ones((8, 8, 1), int)
).astype(np.uint8)
"""Six tiles of plain colours: what is turned or of another frame is another picture."""


def kept(form: str, **options: object) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(TILES).save(buffer, form, **options)
    return np.asarray(decode(buffer.getvalue(), "x"), dtype=int)


@pytest.mark.parametrize("form", ["MPO", "GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_the_image(form):
    black = Image.new("RGB", TILES.shape[1::-1])
    options = {"WEBP": {"lossless": True}, "MPO": {"quality": 100, "subsampling": 0}}.get(form, {})
    found = kept(form, save_all=True, append_images=[black, black], **options)
    np.testing.assert_allclose(found, TILES, atol=3 if form == "MPO" else 0)


@pytest.mark.parametrize(
    ("mark", "upright"),
    [
        (1, lambda a: a), (2, lambda a: a[:, ::-1]), (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]), (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)), (7, lambda a: np.rot90(a, 2).swapaxes(0, 1)),
        (8, lambda a: np.rot90(a)),
    ],
)  # fmt: skip
def test_a_cameras_rotation_mark_is_obeyed(mark, upright):
    exif = Image.Exif()
    exif[0x0112] = mark
    np.testing.assert_array_equal(kept("PNG", exif=exif), upright(TILES))


def test_a_photo_sent_in_passes_is_the_same_photo():
    found = kept("JPEG", progressive=True, quality=100, subsampling=0)
    np.testing.assert_allclose(found, TILES, atol=3)
