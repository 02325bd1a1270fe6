"""What a name of shards stands for."""

import pytest

from evenhand.errors import InputError
from evenhand.tasks.shard_names import is_shards, shard_files, shards_name


@pytest.fixture
def shards(tmp_path):
    for name in [*(f"train-{at:04d}.tar" for at in range(12)), "val-0000.tar", "notes.txt"]:
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def names(given):
    return [path.name for path in shard_files(given)]


def test_patterns_give_their_files_in_order(shards):
    four = [f"train-{at:04d}.tar" for at in range(8, 12)]
    assert names(f"{shards}/train-{{0008..0011}}.tar") == four
    assert names(shards / "train-000[89].tar") == four[:2]
    assert names(str(shards / "train-00??.tar"))[8:] == four
    assert names(f"{shards}/{{val,train}}-0000.tar") == ["val-0000.tar", "train-0000.tar"]
    assert names([shards / "val-*.tar", shards / "train-{0008..0009}.tar"])[1:] == four[:2]
    assert names(shards / "val-0000.tar") == ["val-0000.tar"]


def test_braces_are_read_as_webdataset_reads_them():
    braceexpand = pytest.importorskip("braceexpand").braceexpand
    from evenhand.tasks.shard_names import _expanded

    for text in ("a/{train,val}-{098..102}.tar", "{0..11}.tar", "{a,b,}{1..2}/x.tar", "plain.tar"):
        assert _expanded(text) == list(braceexpand(text))


def test_braces_that_are_part_of_a_name_are_left(shards):
    (shards / "odd{1..2}.tar").write_bytes(b"x")
    assert names(shards / "odd{1..2}.tar") == ["odd{1..2}.tar"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("train-{0011..0012}.tar", r"shard .*train-0012\.tar is not there"),
        ("later-*.tar", r"no file fits .*later-\*\.tar"),
        ("train-{3..1}.tar", r"\{3\.\.1\} must count up"),
        ("train-{0..999999999}.tar", "must count up, over 1,000,000 shards"),
        ("{0..99999}{0..99999}.tar", "stands for more than 1,000,000 shards"),
        ("{train-0000,val-0000,train-0000}.tar", r"train-0000\.tar is given twice"),
    ],
)
def test_what_is_not_there_is_named(shards, given, why):
    with pytest.raises(InputError, match=why):
        shard_files(f"{shards}/{given}")


def test_a_link_to_a_shard_is_the_same_shard(shards):
    (shards / "again.tar").symlink_to(shards / "val-0000.tar")
    with pytest.raises(InputError, match="given twice"):
        shard_files([shards / "val-0000.tar", shards / "again.tar"])
    (shards / "folder.tar").mkdir()
    with pytest.raises(InputError, match=r"folder\.tar is a folder: give the tars in it"):
        shard_files(shards / "folder.tar")


@pytest.mark.parametrize("given", ["pipe:curl x.tar", "https://host/x.tar", "task/s3:/host/x.tar"])
def test_addresses_and_commands_are_not_followed(given):
    with pytest.raises(InputError, match="is an address or a command, which is not followed"):
        shard_files(given)


def test_what_names_shards():
    assert is_shards("a/*.TAR")
    assert is_shards(["a.tar", "b.tar"])
    assert not any(
        map(is_shards, ["photos.zip", "tar", None, [], ["a.tar", "b.csv"], [("a.tar",)]])
    )
    assert shards_name("in/train-{0000..0146}.tar") == "train"
    assert shards_name(["in/0000.tar", "in/0001.tar"]) == "in"
    assert shards_name("0000.tar") == "shards"
