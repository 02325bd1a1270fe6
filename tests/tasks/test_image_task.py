"""Images with a table of labels."""

import pytest
from tiny_images import jpeg

from evenhand.errors import InputError
from evenhand.tasks.image_task import ImagePaths, images


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


def test_paths_are_decoded_when_they_are_asked_for(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(0))
    (tmp_path / "b.jpg").write_bytes(b"no image")
    at_hand = object()
    found = ImagePaths([tmp_path / "a.jpg", str(tmp_path / "b.jpg"), at_hand])
    assert len(found) == 3
    assert (found[0].mode, found[0].size) == ("RGB", (24, 20))
    assert found[1:][1] is at_hand
    with pytest.raises(InputError, match=r"image b\.jpg is none of"):
        found[1]
