"""Rows that come once: laid down on disk as they come, in order, and gone with the process."""

import errno
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_images import jpeg

import evenhand as eh
from evenhand.errors import InputError
from evenhand.tasks import streamed_rows as module
from evenhand.tasks.streamed_rows import is_streamed, spilled

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of its own."""
    monkeypatch.setenv("EVENHAND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def of(rows):
    """A stream without features, as a generator gives."""

    def one_by_one():
        yield from rows

    return datasets.IterableDataset.from_generator(one_by_one)


@settings(max_examples=20, deadline=None)
@given(
    rows=st.lists(
        st.builds(
            lambda a, b: {"a": a, "b": b},
            st.none() | st.integers(-(2**40), 2**40),
            st.none() | st.text(max_size=5),
        ),
        min_size=1,
        max_size=12,
    ),
    together=st.integers(1, 5),
)
def test_the_rows_in_their_order(rows, together):
    """Also where a value is missing, so that its row alone does not tell the column's type."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "TOGETHER", together)
        table, _ = spilled(of(rows), "the rows")
    assert table.to_pylist() == rows


def test_a_column_that_is_empty_at_first():
    rows = [{"a": None, "b": 1}] * 256 + [{"a": "x", "b": 2.5}] * 256 + [{"a": "y", "b": 3}] * 256
    assert spilled(of(rows), "the rows")[0].to_pylist() == rows


def test_nothing_is_held_in_memory_and_no_file_is_left(cache):
    rows = [{"image": bytes([at % 256]) * 100_000, "at": at} for at in range(300)]
    before = arrow.total_allocated_bytes()
    table, _ = spilled(of(rows), "the rows")
    assert arrow.total_allocated_bytes() - before < 5_000_000
    assert table["image"][299].as_py() == rows[299]["image"]
    assert list(cache.iterdir()) == []


KILLED = """
import datasets, os, signal
from evenhand.tasks.streamed_rows import spilled

def rows():
    for at in range(10_000):
        if at == 2_000:
            os.kill(os.getpid(), signal.SIGKILL)
        yield {"image": b"x" * 1_000}

spilled(datasets.IterableDataset.from_generator(rows), "the rows")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_a_killed_process_leaves_nothing(cache):
    killed = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert list(cache.iterdir()) == []


def test_a_full_disk_is_named(monkeypatch):
    class Full:
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    class Hashed(module.HashedFile):
        def __init__(self, _):
            super().__init__(Full())

    monkeypatch.setattr(module, "HashedFile", Hashed)
    with pytest.raises(InputError, match="set EVENHAND_CACHE to a folder with room"):
        spilled(of([{"a": 1}]), "the rows")


def test_an_error_of_the_stream_is_its_own():
    def rows():
        yield {"a": 1}
        raise OSError("the network went away")

    with pytest.raises(OSError, match="the network went away"):
        spilled(datasets.IterableDataset.from_generator(rows), "the rows")


def test_a_stream_at_its_end_and_columns_that_change():
    with pytest.raises(InputError, match="split 'train' give no row"):
        spilled(of([]), "split 'train'")
    rows = [{"a": 1}] * 300 + [{"a": "x"}] * 300
    with pytest.raises(InputError, match=r"cannot be made one table: .* give the data set its"):
        spilled(of(rows), "the rows")


def test_what_is_streamed():
    assert is_streamed(of([{"a": 1}]))
    assert not is_streamed(datasets.Dataset.from_dict({"a": [1]}))
    assert not is_streamed([{"a": 1}])


def faces(number, start=0):
    return [
        {"photo": {"bytes": jpeg(at), "path": None}, "smile": at % 2, "who": "AB"[at // 2 % 2]}
        for at in range(start, start + number)
    ]


def held(rows):
    return datasets.Dataset.from_list(rows).cast_column("photo", datasets.Image())


def test_images_of_a_stream_are_those_of_the_data_set():
    rows = faces(60)
    asked = {"label": "smile", "groups": "who", "file": "photo"}
    whole = eh.tasks.images(held(rows), **asked)
    streamed = eh.tasks.images(held(rows).to_iterable_dataset(num_shards=4), **asked)
    assert streamed.train.labels.tolist() == whole.train.labels.tolist()
    assert streamed.train.inputs.parent.fingerprint == whole.train.inputs.parent.fingerprint
    for at in (0, 31, 59):
        expected = np.asarray(Image.open(io.BytesIO(jpeg(at))))
        np.testing.assert_array_equal(np.asarray(streamed.train.inputs.parent[at]), expected)
    again = eh.tasks.images(held(rows).to_iterable_dataset(num_shards=4), **asked)
    assert again.fingerprint == streamed.fingerprint
    other = eh.tasks.images(held(faces(60, 1)).to_iterable_dataset(num_shards=4), **asked)
    assert other.fingerprint != streamed.fingerprint


def test_splits_by_their_names():
    parts = {"train": faces(24), "validation": faces(12, 100), "test": faces(12, 200)}
    named = datasets.IterableDatasetDict(
        {name: held(rows).to_iterable_dataset() for name, rows in parts.items()}
    )
    task = eh.tasks.images(named, label="smile", groups="who", file="photo")
    assert {name: len(part) for name, part in task.splits.items()} == {
        "train": 24,
        "valid": 12,
        "test": 12,
    }
    mixed = {**named, "test": held(parts["test"])}
    both = eh.tasks.images(mixed, label="smile", groups="who", file="photo")
    assert both.test.labels.tolist() == task.test.labels.tolist()
    changed = {**named, "test": held(faces(12, 201))}
    other = eh.tasks.images(changed, label="smile", groups="who", file="photo")
    assert other.fingerprint != both.fingerprint


def test_texts_and_tables(tmp_path):
    rows = [{"post": f"post {at}", "rude": at % 2, "who": "AB"[at // 2 % 2]} for at in range(60)]
    task = eh.tasks.text(of(rows), text="post", label="rude", groups="who")
    assert task.train.inputs.parent[7] == "post 7"
    numbers = [{"x": float(at % 7), "rude": at % 2, "who": "AB"[at // 2 % 2]} for at in range(60)]
    streamed = eh.tasks.table(of(numbers), label="rude", groups="who")
    whole = eh.tasks.table(datasets.Dataset.from_list(numbers), label="rude", groups="who")
    np.testing.assert_array_equal(streamed.train.inputs, whole.train.inputs)
    assert Path(tmp_path / "cache").is_dir()
