"""One flipped byte is found and named; a full disk loses nothing; locks die with their holder."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand._base import files as artefacts
from evenhand._base.files import held, replaced_folder, write_atomically
from evenhand._base.made_from import MADE_FROM, claim
from evenhand._base.seals import SUMS, check_sums, read_arrays, seal_arrays, write_sums
from evenhand.errors import ArtefactError, InputError
from evenhand.experiments.compare.results import Cell, cell_path, is_kept, read_cell, to_json
from evenhand.groups import Groups
from evenhand.metrics.counts import Counts
from evenhand.models import wrap
from evenhand.models.features import extract
from evenhand.models.features.store import Store
from evenhand.models.mlp import MLP
from evenhand.models.saving import CONFIG, SEAL, WEIGHTS, load, save
from evenhand.report.record import Record
from evenhand.report.setting import Setting
from evenhand.tasks.task import Examples

MANY = settings(max_examples=150, deadline=None)
PLACES = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7))


def flipped(content: bytes, place) -> bytes:
    where, bit = int(place[0] * len(content)), place[1]
    return content[:where] + bytes([content[where] ^ (1 << bit)]) + content[where + 1 :]


def tried(read):
    """What ``read`` gives and "", or None and what our error says."""
    try:
        return read(), ""
    except ArtefactError as error:
        return None, str(error)


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    """A cache entry of two shards, and what gives it."""
    torch.manual_seed(0)
    values = np.random.default_rng(0).normal(size=(9, 2, 2, 1)).astype(np.float32)
    codes = np.arange(9) % 2
    examples = Examples(values, codes, Groups(codes, ("a", "b")))
    model = wrap(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)))
    folder = tmp_path_factory.mktemp("entry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evenhand.models.features.store.ROWS_PER_SHARD", 5)
        extract(model, examples, ("n", "y"), cache=folder)
    return folder


@MANY
@given(place=PLACES, which=st.sampled_from(["manifest.json", "shard-00000.safetensors"]))
def test_any_byte_of_a_cache_entry(entry, place, which):
    path = entry / which
    whole = path.read_bytes()
    before = Store.read(entry)

    def read():
        found = Store.read(entry)
        found.verify()
        return found

    path.write_bytes(flipped(whole, place))
    found, said = tried(read)
    path.write_bytes(whole)
    if said:
        assert "evenhand cache clear" in said
        assert entry.name in said
    else:  # white space of the manifest became other white space
        assert found == before


@MANY
@given(place=PLACES)
def test_any_byte_of_a_cell(tmp_path_factory, place):
    counts = Counts(
        np.array([[[5, 1], [2, 9]], [[3, 0], [1, 4]]]), np.zeros((2, 2)), ("a", "ß"), ("n", "y")
    )
    cell = Cell("m", 0, (Record("t", "m", Setting("1"), 0, counts, 3, 0.25, notes=("a note",)),))
    path = tmp_path_factory.mktemp("cell") / "seed0-m.json"
    path.write_bytes(flipped(to_json(cell).encode(), place))
    found, said = tried(lambda: read_cell(path))
    if said:
        assert f"{path} is damaged" in said
        assert "delete it and run again" in said
    else:
        assert to_json(found) == to_json(cell)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["svd", "transfer", "gap-eo"])),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_a_cell_in_the_place_of_another_is_named(tmp_path_factory, two):
    folder = tmp_path_factory.mktemp("cells")
    (seed, name), (other_seed, other_name) = two
    path = write_atomically(cell_path(folder, seed, name), to_json(Cell(other_name, other_seed)))
    with pytest.raises(ArtefactError, match=f"it was written as seed{other_seed}-{other_name}"):
        is_kept(folder, seed, name, named=True)
    write_atomically(path, to_json(Cell(name, seed)))
    assert is_kept(folder, seed, name, named=True)


@MANY
@given(place=PLACES, which=st.sampled_from([WEIGHTS, CONFIG, SEAL]))
def test_any_byte_of_a_model(tmp_path_factory, place, which):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MLP(3, 2)
    folder = save(model, tmp_path_factory.mktemp("run") / "model", about={"classes": ["n", "y"]})
    path = folder / which
    path.write_bytes(flipped(path.read_bytes(), place))
    found, said = tried(lambda: load(folder))
    if said:
        assert which in said
    else:
        assert all(
            torch.equal(a, b)
            for a, b in zip(found.state_dict().values(), model.state_dict().values(), strict=True)
        )


@MANY
@given(place=PLACES)
def test_any_byte_of_kept_arrays(tmp_path_factory, place):
    path = tmp_path_factory.mktemp("arrays") / "a.safetensors"
    arrays = {"one": np.arange(6.0).reshape(2, 3), "two": np.array([1, 2])}
    seal_arrays(path, arrays, {"group.0": "a"})
    path.write_bytes(flipped(path.read_bytes(), place))
    read, said = tried(lambda: read_arrays(path))
    if said:
        assert f"{path} is damaged" in said
    else:
        found, notes = read
        assert notes == {"group.0": "a"}
        assert all((found[name] == arrays[name]).all() for name in arrays)


def test_a_run_folder_names_what_is_not_as_it_was_written(tmp_path):
    assert "was not finished" in check_sums(tmp_path)[0]
    for name in ("a.csv", "b.html"):
        (tmp_path / name).write_text(name)
    write_sums(tmp_path, ["a.csv", "b.html"])
    assert check_sums(tmp_path) == []
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0
    (tmp_path / "a.csv").write_text("b.csv")
    (tmp_path / "b.html").unlink()
    first, second = check_sums(tmp_path)
    assert "a.csv was changed, is damaged or is of another run" in first
    assert "b.html is missing" in second


def test_sums_say_how_many_they_are(tmp_path):
    names = [f"{i}.csv" for i in range(4)]
    for name in names:
        (tmp_path / name).write_text(name)
    write_sums(tmp_path, names)
    whole = (tmp_path / SUMS).read_text()
    lines = whole.splitlines(keepends=True)
    assert lines[0] == "# 4 files\n"
    cut = ["", *("".join(lines[:n]) for n in range(1, 5)), "".join(lines[1:]), whole[:-1]]
    for text in (*cut, whole + lines[-1], "\n", "# 0 files\n"):
        (tmp_path / SUMS).write_text(text)
        said = check_sums(tmp_path)
        assert len(said) == 1, text
        assert "was emptied, cut or is damaged" in said[0]
    (tmp_path / SUMS).write_bytes(b"\xff\xfe")
    assert "was emptied, cut or is damaged" in check_sums(tmp_path)[0]
    (tmp_path / SUMS).write_text(whole)
    assert check_sums(tmp_path) == []


def test_what_cells_were_made_from_is_refused_by_name(tmp_path):
    claim(tmp_path, {"task": "adult", "layers": 2})
    claim(tmp_path, {"task": "adult", "layers": 2})
    with pytest.raises(InputError, match="layers was 2, is 3; data was not given, is x"):
        claim(tmp_path, {"task": "adult", "layers": 3, "data": "x"})
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "seed0-svd.json").write_text("{}")
    with pytest.raises(InputError, match="results of an older evenhand"):
        claim(tmp_path / "old", {"task": "adult"})
    (tmp_path / MADE_FROM).write_text('{"task": "adult"}')
    with pytest.raises(ArtefactError, match="damaged, or of an older evenhand"):
        claim(tmp_path, {"task": "adult"})


def fails_at(monkeypatch, name, code, after=0):
    """``os.<name>`` works ``after`` times, then gives the error ``code``."""
    real, calls = getattr(os, name), []

    def failing(*arguments, **named):
        calls.append(1)
        if len(calls) > after:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **named)

    monkeypatch.setattr(os, name, failing)


def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "results.csv", "old")
    with monkeypatch.context() as patch:
        fails_at(patch, "fsync", errno.ENOSPC)
        with pytest.raises(InputError, match=r"results\.csv: No space left .* free some space"):
            write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["results.csv"]


@pytest.mark.parametrize("after", range(4))
def test_a_full_disk_leaves_the_old_model(tmp_path, monkeypatch, after):
    torch.manual_seed(0)
    folder = save(MLP(3, 2), tmp_path / "model")
    (folder / "mine.txt").write_text("mine")
    before = (folder / WEIGHTS).read_bytes()
    with monkeypatch.context() as patch:
        fails_at(patch, "fsync", errno.ENOSPC, after)
        with pytest.raises(InputError, match="No space left on device"):
            save(MLP(3, 2), folder)
    assert (folder / WEIGHTS).read_bytes() == before
    assert isinstance(load(folder), MLP)
    assert [each.name for each in tmp_path.iterdir()] == ["model"]
    save(MLP(3, 2), folder)
    assert (folder / WEIGHTS).read_bytes() != before
    assert (folder / "mine.txt").read_text() == "mine"


def test_folders_change_places_where_the_system_cannot_exchange_them(tmp_path, monkeypatch):
    monkeypatch.setattr(artefacts, "_exchange", lambda *_: False)
    for text in ("one", "two"):
        with replaced_folder(tmp_path / "model") as new:
            (new / "a.txt").write_text(text)
        assert (tmp_path / "model" / "a.txt").read_text() == text
    assert [each.name for each in tmp_path.iterdir()] == ["model"]
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="it is a file"),
        replaced_folder(tmp_path / "file"),
    ):
        pass


def test_what_killed_writers_left_is_cleared_once_it_is_old(tmp_path):
    old, new, other = (tmp_path / f".{n}.part" for n in ("a.csv.1", "a.csv.2", "b.csv.1"))
    for path in (old, new, other):
        path.write_text("half")
    os.utime(old, (1, 1))
    os.utime(other, (1, 1))
    write_atomically(tmp_path / "a.csv", "whole")
    assert not old.exists()
    assert new.exists()
    assert other.exists()


HOLDER = """
import sys, time
from evenhand._base.files import held
with held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_is_one_writers_until_it_dies(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (
            pytest.raises(InputError, match=r"another evenhand is writing to .*: wait until"),
            held(tmp_path),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with held(tmp_path):
        pass


def test_readers_of_a_file_written_over_and_over_see_it_whole(tmp_path):
    path = write_atomically(tmp_path / "a.txt", "0" * 5000)
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            write_atomically(path, str(number % 10) * 5000)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    until = time.monotonic() + 0.5
    seen = []
    while time.monotonic() < until:
        text = path.read_text()
        seen.append(len(text) == 5000 and len(set(text)) == 1)
    stop.set()
    for writer in writers:
        writer.join()
    assert all(seen)
