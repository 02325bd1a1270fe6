"""Images with a table of labels."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_images import jpeg

from evenhand.errors import InputError
from evenhand.tasks.image_task import decode, images


def listing(number, folder=""):
    rows = [f"{folder}{i:03d}.jpg,{i % 2},{'AB'[i // 2 % 2]}" for i in range(number)]
    return "\n".join(["file,smile,who", *rows])


@pytest.mark.parametrize("target", ["photos", "photos.zip"])
def test_a_folder_or_zip_with_a_listing(tmp_path, write, target):
    files = {f"pics/{i:03d}.jpg": jpeg(i) for i in range(40)}
    path = write(tmp_path / target, files | {"pics/labels.csv": listing(40)})
    task = images(path, label="smile", groups="who", positive=1)
    assert task.classes == ("0", "1")
    assert sum(map(len, task.splits.values())) == 40
    image = task.train.inputs[0]
    assert (image.mode, image.size) == ("RGB", (24, 20))
    again = images(path, label="smile", groups="who", positive=1, seed=3)
    assert again.train.inputs.parent.fingerprint == task.train.inputs.parent.fingerprint


def test_the_csv_itself_and_paths_from_the_top(tmp_path, write):
    files = {f"pics/{i:03d}.jpg": jpeg(i) for i in range(40)}
    path = write(tmp_path / "photos", files | {"labels.csv": listing(40, "./pics/")})
    task = images(path / "labels.csv", label="smile", groups="who")
    assert len(task.train.inputs.parent) == 40


def test_missing_files_are_counted_and_many_refused(tmp_path, write):
    files = {f"{i:03d}.jpg": jpeg(i) for i in range(49)}
    path = write(tmp_path / "photos", files | {"labels.csv": listing(50)})
    task = images(path, label="smile", groups="who")
    assert task.notes == ("1 files are not there, left out: 049.jpg",)
    few = write(tmp_path / "few", {f"{i:03d}.jpg": jpeg(i) for i in range(9)})
    write(few, {"labels.csv": listing(50)})
    with pytest.raises(InputError, match=r"41 of the 50 files in column 'file' of labels\.csv"):
        images(few, label="smile", groups="who")


def test_several_tables_need_a_name(tmp_path, write):
    path = write(tmp_path / "photos", {"a.csv": listing(3), "b.csv": listing(3)})
    with pytest.raises(InputError, match=r"needs one table of labels, found a\.csv, b\.csv"):
        images(path, label="smile", groups="who")


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(mode):
    pixels = np.linspace(0, 200, 12 * 10).reshape(10, 12)
    gray = Image.fromarray(pixels.astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray((pixels * 257).astype(np.uint16))
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
    if mode not in ("1", "CMYK"):
        assert np.corrcoef(values.ravel(), pixels.ravel())[0, 1] > 0.99


def test_transparent_pixels_are_white():
    buffer = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(buffer, "PNG")
    assert np.asarray(decode(buffer.getvalue(), "x")).min() == 255


def test_a_corrupt_image_is_named():
    whole = jpeg(0)
    for content in (b"", b"not an image", whole[: len(whole) // 2]):
        with pytest.raises(InputError, match=r"image face\.jpg cannot be decoded"):
            decode(content, "face.jpg")


def test_a_decompression_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="cannot be decoded"):
        decode(jpeg(0), "bomb.jpg")


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_damaged_bytes_give_an_image_or_our_error(data):
    content = bytearray(jpeg(1, form="PNG"))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InputError):
        assert decode(bytes(content), "x").mode == "RGB"
