"""Folders and zip files, read in place and with care."""

import os
import zipfile

import pytest

from evenhand.errors import ArtefactError, InputError
from evenhand.tasks import archive as module
from evenhand.tasks.archive import open_archive

FILES = {"top.txt": "a", "deep/inner/top.txt": "bb", "deep/x.jpg": b"\x00\x01"}


@pytest.fixture(params=["data", "data.zip"])
def opened(request, tmp_path, write):
    return open_archive(write(tmp_path / request.param, FILES))


def test_both_kinds_list_read_and_find(opened):
    assert opened.sizes == {"deep/inner/top.txt": 2, "deep/x.jpg": 2, "top.txt": 1}
    assert opened.read("deep/x.jpg") == b"\x00\x01"
    assert opened.find("top.txt") == "top.txt"
    assert opened.find("x.jpg") == "deep/x.jpg"
    assert opened.find("absent") is None
    with pytest.raises(InputError, match=r"absent\.txt"):
        opened.read("absent.txt")


def test_the_fingerprint_follows_names_order_and_content(tmp_path, write):
    first = open_archive(write(tmp_path / "a.zip", FILES))
    same = open_archive(write(tmp_path / "b.zip", FILES))
    other = open_archive(write(tmp_path / "c.zip", FILES | {"top.txt": "c"}))
    names = list(FILES)
    assert first.fingerprint(names) == same.fingerprint(names)
    assert first.fingerprint(names) != other.fingerprint(names)
    assert first.fingerprint(names) != first.fingerprint(names[::-1])
    folder = open_archive(write(tmp_path / "folder", FILES))
    before = folder.fingerprint(names)
    os.utime(folder.path / "top.txt", (1, 1))
    assert open_archive(folder.path).fingerprint(names) != before


@pytest.mark.parametrize("name", ["../out.txt", "/etc/passwd", "a/../../out.txt", "c:/x.txt"])
def test_names_that_lead_out_are_not_there(name, tmp_path, write):
    (tmp_path / "out.txt").write_text("secret")
    zipped = open_archive(write(tmp_path / "evil.zip", {name: "x", "fine.txt": "y"}))
    assert list(zipped.sizes) == ["fine.txt"]
    folder = open_archive(write(tmp_path / "folder", {"fine.txt": "y"}))
    for archive in (zipped, folder):
        with pytest.raises(InputError):
            archive.read(name)


def test_links_out_of_a_folder_are_not_followed(tmp_path, write):
    (tmp_path / "secret.txt").write_text("secret")
    folder = write(tmp_path / "folder", {"fine.txt": "y"})
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(InputError, match="leads out of"):
        open_archive(folder).read("link.txt")


def test_limits_on_members_and_size(tmp_path, write, monkeypatch):
    path = write(tmp_path / "big.zip", {"big.bin": b"\x00" * 5000, "small.bin": b"\x00"})
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match=r"big\.bin in big\.zip unpacks to 5000 bytes"):
        open_archive(path).read("big.bin")
    monkeypatch.setattr(module, "MAX_MEMBERS", 1)
    with pytest.raises(ArtefactError, match="holds 2 files"):
        open_archive(path)


def test_a_damaged_member_is_named_and_the_rest_can_be_read(tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bad.txt", "abcabc" * 100)
        archive.writestr("good.txt", "fine")
    content = bytearray(path.read_bytes())
    content[37:45] = b"\xff" * 8
    path.write_bytes(content)
    opened = open_archive(path)
    with pytest.raises(InputError, match=r"bad\.txt"):
        opened.read("bad.txt")
    assert opened.read("good.txt") == b"fine"


def test_what_is_no_archive_is_said(tmp_path):
    with pytest.raises(InputError, match="no folder or zip file at"):
        open_archive(tmp_path / "absent")
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ArtefactError, match="not a whole zip file"):
        open_archive(tmp_path / "cut.zip")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="neither a folder nor a zip file"):
        open_archive(tmp_path / "notes.txt")


def test_a_zip_is_read_in_place(tmp_path, monkeypatch):
    """Nothing of it is unpacked to the disk: not beside it, not where temporary files are."""
    around, temporary = tmp_path / "around", tmp_path / "temporary"
    around.mkdir()
    temporary.mkdir()
    path = around / "photos.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", b"x" * 3_000_000)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.chdir(around)
    for wrong in ("extract", "extractall"):
        monkeypatch.setattr(zipfile.ZipFile, wrong, lambda *_, **__: pytest.fail("unpacked"))
    assert open_archive(path).read("a.bin") == b"x" * 3_000_000
    assert list(around.iterdir()) == [path]
    assert list(temporary.iterdir()) == []
