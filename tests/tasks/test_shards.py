"""WebDataset shards as tasks of images and of texts."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_images import jpeg
from tiny_shards import faces, sample, shard

import evenhand as eh
from evenhand.errors import InputError
from evenhand.tasks import shards as module
from evenhand.tasks.shards import shard_table
from evenhand.tasks.split import part_in

ASKED = {"label": "cls", "groups": "who"}


@pytest.fixture
def three(tmp_path):
    """Shards of three parts."""
    for at, (part, number) in enumerate((("train", 24), ("val", 12), ("test", 12))):
        shard(tmp_path / f"faces-{part}-0000.tar", faces(number, 100 * at))
    return tmp_path


def test_images_are_read_where_they_lie(three):
    task = eh.tasks.images(three / "faces-*.tar", split="__split__", **ASKED)
    assert task.name == "faces"
    assert task.classes == ("0", "1")
    assert task.train.groups.names == ("A", "B")
    assert {name: len(part) for name, part in task.splits.items()} == {
        "train": 24,
        "valid": 12,
        "test": 12,
    }
    for at in (0, 7, 23):
        expected = np.asarray(Image.open(io.BytesIO(jpeg(at))))
        np.testing.assert_array_equal(np.asarray(task.train.inputs[at]), expected)
    assert task.train.labels[:4].tolist() == [0, 1, 0, 1]
    assert sorted(path.name for path in three.iterdir()) == [
        "faces-test-0000.tar",
        "faces-train-0000.tar",
        "faces-val-0000.tar",
    ]


def test_splits_by_name_and_in_three_arguments(three):
    named = {part: three / f"faces-{part}-*.tar" for part in ("train", "val", "test")}
    by_column = eh.tasks.images(three / "faces-*.tar", split="__split__", **ASKED)
    by_name = eh.tasks.images(named, **ASKED)
    assert by_name.train.labels.tolist() == by_column.train.labels.tolist()
    assert len(by_name.valid) == 12
    (three / "faces-train-0000.tar").rename(three / "faces-0000.tar")
    with pytest.raises(InputError, match=r"split column '__split__' is empty in 24 rows"):
        eh.tasks.images(three / "faces-*.tar", split="__split__", **ASKED)


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("in/imagenet-train-000000.tar", "train"),
        ("validation/000000.tar", "valid"),
        ("test/train-0.tar", "train"),
        ("my-test/0.tar", None),
        ("train-test-0.tar", None),
        ("latest-0.tar", None),
    ],
)
def test_a_name_tells_the_part_by_a_whole_word(path, part):
    assert part_in(Path(path)) == part


def test_what_webdataset_writes_and_reads(tmp_path):
    wds = pytest.importorskip("webdataset")
    with wds.ShardWriter(f"{tmp_path}/s-%04d.tar", maxcount=20, verbose=0) as writer:
        for at in range(48):
            value = {"who": "AB"[at // 2 % 2], "boxes": [at]}
            image = Image.open(io.BytesIO(jpeg(at)))
            writer.write({"__key__": f"in/{at:05d}", "png": image, "json": value, "cls": at % 2})
    task = eh.tasks.images(f"{tmp_path}/s-{{0000..0002}}.tar", **ASKED)
    assert task.notes == ("lists and other nested values of .json left out: boxes",)
    read = []
    for path in sorted(tmp_path.glob("*.tar")):
        with path.open("rb") as file:
            files = wds.tariterators.tar_file_iterator(file)
            read += wds.tariterators.group_by_keys({**one, "__url__": path.name} for one in files)
    table, _ = shard_table(f"{tmp_path}/s-*.tar")
    assert table["__key__"].to_pylist() == [one["__key__"] for one in read]
    assert table["cls"].to_pylist() == [one["cls"].decode() for one in read]
    assert table["who"].to_pylist() == [json.loads(one["json"])["who"] for one in read]
    parent = task.train.inputs.parent
    for at in (0, 19, 20, 47):
        expected = np.asarray(Image.open(io.BytesIO(read[at]["png"])))
        np.testing.assert_array_equal(np.asarray(parent[at]), expected)


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(
        st.dictionaries(
            st.sampled_from(["a", "b", "größe"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        ),
        min_size=1,
        max_size=8,
    ),
    together=st.integers(1, 5),
)
def test_any_plain_values_become_columns(tmp_path_factory, values, together):
    """However many samples are made columns of together, a row keeps what its sample holds."""
    files = {f"{at}.json": json.dumps(value) for at, value in enumerate(values)}
    path = shard(tmp_path_factory.mktemp("shards") / "a.tar", files)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "TOGETHER", together)
        table, notes = shard_table(path)
    assert notes == []
    assert table["__key__"].to_pylist() == [str(at) for at in range(len(values))]
    for name in {name for value in values for name in value}:
        for found, value in zip(table[name].to_pylist(), values, strict=True):
            kept = value.get(name)
            assert (found is None) == (kept is None)
            same = found == kept or module.name_of(found) == module.name_of(kept)
            assert kept is None or same or (kept != kept and found != found)


def test_texts_are_columns(tmp_path):
    files = {}
    for at in range(60):
        files |= {
            f"{at}.txt": f" post {at}\n",
            f"{at}.json": json.dumps({"dialect": "AB"[at // 2 % 2], "rude": "ny"[at % 2]}),
        }
    shard(tmp_path / "posts-0.tar", files)
    task = eh.tasks.text(tmp_path / "posts-*.tar", text="txt", label="rude", groups="dialect")
    assert task.train.inputs.parent[3] == "post 3"
    with pytest.raises(InputError, match=r"hold no image \(\.jpg, .* is it task text"):
        eh.tasks.images(tmp_path / "posts-0.tar", label="rude", groups="dialect")
    with pytest.raises(InputError, match="take task images or text"):
        eh.tasks.table(tmp_path / "posts-0.tar", label="rude", groups="dialect")


def test_a_folder_of_shards_is_told_how_to_give_them(three):
    with pytest.raises(InputError, match=r"holds tars and no table of labels: .*\*\.tar"):
        eh.tasks.images(three, **ASKED)


def test_other_files_are_counted_and_never_opened(tmp_path):
    files = faces(40) | {"00000.npy": b"\x93NUMPY", "00001.pyd": b"\x80\x04.", "README": b"x"}
    task = eh.tasks.images(shard(tmp_path / "a.tar", files), **ASKED)
    told = "files of the shards that were not read: 1 with .npy, 1 with .pyd, 1 with no ending"
    assert task.notes == (told,)


def test_an_image_of_any_format_and_several_images(tmp_path):
    mixed = {}
    for at in range(40):
        form = ("JPEG", "PNG", "WEBP")[at % 3]
        mixed |= sample(f"{at}", at, at % 2, form, who="AB"[at // 2 % 2])
    assert len(eh.tasks.images(shard(tmp_path / "a.tar", mixed), **ASKED).train) == 24
    double = {}
    for at in range(40):
        double |= sample(f"{at}", at, at % 2, who="AB"[at // 2 % 2])
        double[f"{at}.left.jpg"] = jpeg(at, size=(8, 6))
    path = shard(tmp_path / "b.tar", double)
    task = eh.tasks.images(path, file="left.jpg", **ASKED)
    assert task.train.inputs[0].size == (8, 6)
    with pytest.raises(InputError, match=r"several images \(jpg, left\.jpg\): say which"):
        eh.tasks.images(path, **ASKED)


def without(files, *names):
    return {name: content for name, content in files.items() if name not in names}


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (without(faces(4), "00002.jpg"), r"sample '00002' in a\.tar has no \.jpg"),
        (without(faces(4), "00002.cls"), r"sample '00002' in a\.tar has no \.cls"),
        (without(faces(4), "00000.json"), r"sample '00000' in a\.tar has no \.json"),
        ([*faces(2).items(), ("00001.jpg", b"x")], r"a\.tar holds '00001\.jpg' twice"),
        ([*faces(2).items(), ("00001.JPG", b"x")], r"a\.tar holds '00001\.jpg' twice"),
        (faces(2) | {"00001.json": "{"}, r"'00001\.json' in a\.tar is no JSON"),
        (faces(2) | {"00001.json": "[" * 100_000}, r"'00001\.json' in a\.tar is no JSON"),
        (faces(2) | {"00001.json": "[1]"}, r"'00001\.json' in a\.tar must be an object"),
        (faces(2) | {"00001.json": b"\xff\xfe"}, r"'00001\.json' in a\.tar is not UTF-8"),
        (faces(2) | {"00001.json": '{"cls": 1}'}, "has a value 'cls', which the sample has from"),
        (faces(2) | {"00001.json": '{"__key__": 1}'}, "has a value '__key__', which the sample"),
        (faces(2) | {"00001.txt": b" " * (16 * 1024**2 + 1)}, "more than the 16,777,216"),
        ({"README": b"x"}, r"a\.tar holds no sample"),
    ],
)
def test_a_sample_that_is_not_whole_is_named(tmp_path, files, why):
    with pytest.raises(InputError, match=why):
        shard_table(shard(tmp_path / "a.tar", files))


def test_a_sample_in_two_shards_is_named_and_a_key_that_begins_anew_is_none(tmp_path):
    shard(tmp_path / "a.tar", faces(3))
    (tmp_path / "b.tar").write_bytes((tmp_path / "a.tar").read_bytes())
    with pytest.raises(InputError, match=r"sample '00000' is in a\.tar, b\.tar, with the same"):
        shard_table(tmp_path / "*.tar")
    anew = {f"0000{at}{end}": faces(9)[f"0000{at + 5}{end}"] for at in range(3) for end in ENDINGS}
    shard(tmp_path / "b.tar", anew)
    assert shard_table(tmp_path / "*.tar")[0].num_rows == 6


ENDINGS = (".jpg", ".json", ".cls")


def test_the_fingerprint_follows_content_and_not_the_folder(tmp_path):
    one = shard(tmp_path / "one" / "a.tar", faces(40))
    there = tmp_path / "other"
    before = eh.tasks.images(one, **ASKED)
    one.parent.rename(there)
    moved = eh.tasks.images(there / "a.tar", **ASKED)
    assert moved.fingerprint == before.fingerprint
    with pytest.raises(InputError, match=r"a\.tar is not there any more"):
        before.train.inputs.parent.fingerprint  # noqa: B018
    shard(there / "a.tar", faces(40) | {"00003.jpg": jpeg(99)})
    assert eh.tasks.images(there / "a.tar", **ASKED).fingerprint != before.fingerprint


def test_a_damaged_image_is_named_by_its_shard(tmp_path):
    path = shard(tmp_path / "a.tar", faces(40) | {"00003.jpg": b"no image"})
    parent = eh.tasks.images(path, **ASKED).train.inputs.parent
    with pytest.raises(InputError, match=r"image 4 in a\.tar is none of JPEG"):
        parent[3]


@settings(max_examples=60, deadline=None)
@given(
    at=st.integers(0, 10_239),
    value=st.integers(0, 255),
    count=st.integers(1, 40),
)
def test_a_shard_damaged_anywhere_gives_rows_or_a_refusal(tmp_path_factory, at, value, count):
    """No other error, whatever a header then says; an image's own bytes are looked at later."""
    folder = tmp_path_factory.mktemp("shards")
    content = bytearray(shard(folder / "a.tar", faces(2)).read_bytes())
    content[at : at + count] = bytes([value]) * len(content[at : at + count])
    (folder / "a.tar").write_bytes(content)
    try:
        table, _ = shard_table(folder / "a.tar")
    except InputError:
        return
    assert 1 <= table.num_rows <= 2
    for place in table["__image__"].to_pylist():
        assert 0 <= place["offset"] <= place["offset"] + place["size"] <= len(content)
