"""Where the files of a tar lie: the same as tarfile finds, and a damaged tar is named."""

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_shards import shard

from evenhand.errors import InputError
from evenhand.tasks import tar_members as module
from evenhand.tasks.tar_members import members_of, read_member

NAMES = st.text(st.characters(exclude_characters="/\\:\0\n", exclude_categories=["Cs"]), min_size=1)


@settings(max_examples=40, deadline=None)
@given(
    files=st.dictionaries(
        st.lists(NAMES, min_size=1, max_size=4)
        .map("/".join)
        .filter(lambda name: not {".", ".."} & set(name.split("/"))),
        st.binary(max_size=1500),
        max_size=6,
    ),
    form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_every_file_is_read_by_its_place(tmp_path_factory, files, form):
    path = shard(tmp_path_factory.mktemp("tar") / "a.tar", files, form=form)
    found = list(members_of(path))
    assert [member.name for member in found] == list(files)
    assert [read_member(path, m.offset, m.size) for m in found] == list(files.values())


def test_long_names_folders_and_a_dot_in_front(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        folder = tarfile.TarInfo("./faces")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        member = tarfile.TarInfo("./faces/" + "x" * 300 + ".jpg")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    (found,) = members_of(path)
    assert found.name == "faces/" + "x" * 300 + ".jpg"
    assert read_member(path, found.offset, found.size) == b"abc"


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 10240))
def test_a_tar_cut_anywhere_is_named_or_whole(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("tar")
    files = {"a.jpg": b"x" * 700, "b.jpg": b"y" * 100}
    content = shard(folder / "whole.tar", files).read_bytes()
    end = 3 * 512 + 1024 + 3 * 512 + 512  # of both: a long header, a header and the content
    path = folder / "cut.tar"
    path.write_bytes(content[:cut])
    if cut > end:
        assert [member.name for member in members_of(path)] == list(files)
        return
    with pytest.raises(InputError, match=r"cut\.tar"):
        list(members_of(path))


def test_what_was_cut_between_two_files_has_no_end(tmp_path):
    path = shard(tmp_path / "a.tar", {"a.jpg": b"x", "b.jpg": b"y"}, mtime=1)
    path.write_bytes(path.read_bytes()[:1024])
    with pytest.raises(InputError, match=r"a\.tar has no end: .* cut short after 1,024 bytes"):
        list(members_of(path))


def test_a_damaged_header_in_the_middle_is_no_end(tmp_path):
    path = shard(tmp_path / "a.tar", {"a.jpg": b"x", "b.jpg": b"y"}, mtime=1)
    content = bytearray(path.read_bytes())
    content[1024:1030] = b"\xff" * 6
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.tar is damaged at byte 1,024"):
        list(members_of(path))


@pytest.mark.parametrize("name", ["../out.jpg", "/etc/out.jpg", "a/../../out.jpg", "c:/out.jpg"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    path = shard(tmp_path / "a.tar", {"fine.jpg": b"x", name: b"y"})
    with pytest.raises(InputError, match=r"out\.jpg' in a\.tar is not a plain relative path"):
        list(members_of(path))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("a.jpg")
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(InputError, match=r"'a\.jpg' in a\.tar is no plain file"):
        list(members_of(path))


def test_what_is_packed_or_no_tar_is_said(tmp_path):
    whole = shard(tmp_path / "a.tar", {"a.jpg": b"x"})
    with tarfile.open(tmp_path / "b.tar", "w:gz") as tar:
        tar.add(whole, "a.jpg")
    with pytest.raises(InputError, match=r"b\.tar is packed, .* unpack it to a plain tar"):
        list(members_of(tmp_path / "b.tar"))
    (tmp_path / "c.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(InputError, match=r"c\.tar is not a whole tar file"):
        list(members_of(tmp_path / "c.tar"))
    (tmp_path / "d.tar").write_bytes(b"")
    with pytest.raises(InputError, match=r"d\.tar is empty"):
        list(members_of(tmp_path / "d.tar"))


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    path = shard(tmp_path / "a.tar", {"a.jpg": b"x" * 5000})
    (found,) = members_of(path)
    monkeypatch.setattr(module, "MAX_BYTES", 4999)
    with pytest.raises(InputError, match=r"a file in a\.tar has 5,000 bytes, more than the 4,999"):
        read_member(path, found.offset, found.size)


def test_a_tar_that_became_shorter_is_named(tmp_path):
    path = shard(tmp_path / "a.tar", {"a.jpg": b"x" * 5000})
    (found,) = members_of(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"a\.tar ends within what it held"):
        read_member(path, found.offset, found.size)
    path.unlink()
    with pytest.raises(InputError, match=r"a\.tar cannot be read"):
        read_member(path, found.offset, found.size)
