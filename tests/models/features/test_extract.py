"""The backbone runs once: the cache, its resumption, its refusals."""

import json
import signal
import stat
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from evenhand.errors import ArtefactError, InputError, ModelError
from evenhand.groups import Groups
from evenhand.models import wrap
from evenhand.models.features import extract, extract_task
from evenhand.models.features import store as store_module
from evenhand.models.features.extract import origin_of
from evenhand.models.features.store import MANIFEST, Store
from evenhand.tasks.inputs import Texts, View
from evenhand.tasks.task import Examples, Task

N, D = 50, 6
CLASSES = ("no", "yes")


class Counted(nn.Module):
    """Counts the rows it has seen."""

    def __init__(self):
        super().__init__()
        self.body, self.fc, self.seen = nn.Linear(4, D), nn.Linear(D, 2), 0

    def forward(self, x):
        self.seen += len(x)
        return self.fc(torch.relu(self.body(x)))


class Rough:
    """Inputs of which some cannot be read."""

    name = "rough"

    def __init__(self, bad=(), number=N):
        self.values = np.random.default_rng(0).normal(size=(number, 4)).astype(np.float32)
        self.bad, self.fingerprint = set(bad), "f" * 64

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        if index in self.bad:
            raise OSError(f"file {index} is broken")
        return self.values[index]


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Counted()


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(store_module, "ROWS_PER_SHARD", 16)


def labelled(inputs):
    number = len(inputs)
    codes = np.arange(number) % 2
    return Examples(inputs, codes, Groups(codes.copy(), ("a", "b")))


def expected(model, values):
    with torch.no_grad():
        return torch.relu(model.body(torch.as_tensor(values))).numpy()


def make_task(parent, seed=0, name="t"):
    order = np.random.default_rng(seed).permutation(len(parent))
    parts = {"train": order[:30], "valid": order[30:40], "test": order[40:]}
    made = {}
    for part, rows in parts.items():
        codes = rows % 2
        made[part] = Examples(View(parent, rows), codes, Groups(codes, ("a", "b")))
    return Task(name, CLASSES, "y", fingerprint=str(seed), **made)


def test_without_a_cache_only_the_rows_needed_are_computed(model):
    inputs = Rough()
    found = extract(wrap(model), labelled(View(inputs, [3, 1, 4])), CLASSES)
    assert np.allclose(found.rows.features, expected(model, inputs.values[[3, 1, 4]]), atol=1e-6)
    assert (model.seen, found.computed) == (3, 3)


def test_every_split_and_seed_shares_one_pass(model, tmp_path):
    inputs = Rough()
    backbone = wrap(model)
    first = extract_task(backbone, make_task(inputs, 0), root=tmp_path)
    assert (model.seen, first.computed) == (N, N)
    second = extract_task(backbone, make_task(inputs, 1), root=tmp_path)
    assert (model.seen, second.computed) == (N, 0)
    rows = make_task(inputs, 1).test.inputs.rows
    assert np.allclose(second.test.features, expected(model, inputs.values[rows]), atol=1e-6)
    assert (second.test.labels == rows % 2).all()
    assert first.entry == second.entry
    assert len(list(tmp_path.iterdir())) == 1


def test_the_pretrained_head_is_given_in_the_tasks_order(model, tmp_path):
    task = make_task(Rough())
    head = extract_task(wrap(model), task, root=tmp_path).head
    assert np.allclose(head.weight.T, model.fc.weight.detach())
    turned = wrap(model, classes=("yes", "no"))
    assert np.allclose(
        extract_task(turned, task, root=tmp_path).head.weight.T, model.fc.weight.detach().flip(0)
    )
    other = wrap(model, classes=("cat", "dog"))
    assert extract_task(other, task, root=tmp_path).head is None
    assert (
        extract_task(replace(wrap(model), pretrained_head=False), task, root=tmp_path).head is None
    )


def test_a_matrix_is_not_cached(model, tmp_path):
    values = Rough().values
    codes = np.arange(N) % 2
    part = Examples(values, codes, Groups(codes, ("a", "b")))
    task = Task("t", CLASSES, "y", part, part, part, "f")
    found = extract_task(wrap(model), task, root=tmp_path)
    assert found.entry is None
    assert not list(tmp_path.iterdir())


def test_an_array_of_images_is_cached(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    values = np.random.default_rng(0).random((N, 2, 2, 3), dtype=np.float32)
    codes = np.arange(N) % 2
    part = Examples(values, codes, Groups(codes, ("a", "b")))
    task = Task("t", CLASSES, "y", part, part, part, "f")
    found = extract_task(wrap(model), task, root=tmp_path)
    assert found.computed == N
    assert extract_task(wrap(model), task, root=tmp_path).computed == 0
    assert np.allclose(found.valid.features, values.reshape(N, 12))


def test_files_and_folders_are_their_owners_alone(model, tmp_path):
    entry = extract_task(wrap(model), make_task(Rough()), root=tmp_path / "root").entry
    assert stat.S_IMODE(entry.stat().st_mode) == 0o700
    for file in entry.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_the_manifest_says_what_the_features_come_from(model, tmp_path):
    backbone = wrap(model)
    entry = extract_task(backbone, make_task(Rough()), root=tmp_path).entry
    manifest = json.loads((entry / MANIFEST).read_text())
    assert manifest["origin"] == {
        "model": "Counted",
        "model_fingerprint": backbone.fingerprint,
        "layer": "fc",
        "inputs": "rough",
        "inputs_fingerprint": "f" * 64,
        "rows": N,
        "width": D,
        "dtype": "float32",
        "precision": "float32",
        "preparation": "PrepareArrays(token_ids=False)",
    }
    assert manifest["task"]["groups"] == ["a", "b"]
    assert [manifest["shards"][str(i)]["stop"] for i in range(4)] == [16, 32, 48, 50]


def test_an_entry_of_something_else_is_refused_by_name(model, tmp_path):
    examples = labelled(Rough())
    extract(wrap(model), examples, CLASSES, cache=tmp_path)
    with torch.no_grad():
        model.body.weight.add_(1)
    with pytest.raises(ArtefactError, match="made from something else: model_fingerprint was"):
        extract(wrap(model), examples, CLASSES, cache=tmp_path)
    with pytest.raises(ArtefactError, match="rows was 50, is 20"):
        extract(wrap(model), labelled(Rough(number=20)), CLASSES, cache=tmp_path)


def test_in_the_shared_cache_a_changed_model_is_extracted_anew_and_said(model, tmp_path):
    extract_task(wrap(model), make_task(Rough()), root=tmp_path)
    with torch.no_grad():
        model.body.weight.add_(1)
    found = extract_task(wrap(model), make_task(Rough()), root=tmp_path)
    assert found.computed == N
    assert len(found.notes) == 1
    assert "were not used: the model changed" in found.notes[0]


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_shard_is_named_with_the_fix(model, tmp_path, damage):
    task = make_task(Rough())
    entry = extract_task(wrap(model), task, root=tmp_path).entry
    shard = entry / "shard-00001.safetensors"
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    if damage == "remove":
        shard.unlink()
    else:
        shard.write_bytes(content if damage == "flip" else content[:-10])
    with pytest.raises(ArtefactError, match=r"shard-00001\.safetensors .* evenhand cache clear"):
        extract_task(wrap(model), task, root=tmp_path)


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=60))
def test_any_manifest_gives_the_features_or_our_error(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("entry")
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(ArtefactError, match="evenhand cache clear"):
        Store.read(folder)


def test_unreadable_inputs_are_left_out_counted_and_named(model, tmp_path):
    inputs = Rough(bad=[7, 49])
    task = make_task(inputs)
    found = extract_task(wrap(model), task, root=tmp_path)
    again = extract_task(wrap(model), task, root=tmp_path)
    assert sum(len(rows) for rows in found.splits.values()) == 48
    assert sum("could not be read" in note for note in again.notes) >= 1
    assert "is broken" in " ".join(again.notes)
    for name, part in task.splits.items():
        rows = part.inputs.rows[found.kept[name]]
        assert not {7, 49} & set(rows.tolist())
        assert np.allclose(
            found.splits[name].features, expected(model, inputs.values[rows]), atol=1e-6
        )
        assert (found.splits[name].labels == rows % 2).all()


def test_too_many_unreadable_inputs_are_refused(model, tmp_path):
    with pytest.raises(InputError, match="row 0: file 0 is broken"):
        extract(wrap(model), labelled(Rough(bad=range(5))), CLASSES)
    inputs = labelled(Rough(bad=range(10, 20)))
    with pytest.raises(InputError, match=r"3 inputs of 50 could not be read, .*5% allowed: row 10"):
        extract(wrap(model), inputs, CLASSES, cache=tmp_path, batch_size=1)
    found = extract(wrap(model), inputs, CLASSES, max_unreadable=0.5)
    assert found.dropped[10] == "file 10 is broken"
    assert len(found.rows) == 40


def test_a_run_of_ten_thousand_does_not_die_on_row_9999(model, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "ROWS_PER_SHARD", 2048)
    inputs = Rough(bad=[9_999], number=10_000)
    found = extract(wrap(model), labelled(inputs), CLASSES, cache=tmp_path, batch_size=512)
    assert len(found.rows) == 9_999
    assert found.notes == (
        "1 of 10000 inputs could not be read and were left out: row 9999: file 9999 is broken",
    )


def test_float16_and_mixed_precision(model, tmp_path):
    task = make_task(Rough())
    full = extract_task(wrap(model), task, root=tmp_path)
    half = extract_task(wrap(model), task, root=tmp_path, dtype="float16", precision="bfloat16")
    assert half.entry != full.entry
    assert half.test.features.dtype == np.float32
    assert np.allclose(half.test.features, full.test.features, atol=0.05)
    assert not np.array_equal(half.test.features, full.test.features)


def test_features_that_are_not_finite_are_refused(model, tmp_path):
    with torch.no_grad():
        model.body.weight[0, 0] = float("inf")
    with pytest.raises(ModelError, match=r"not finite for .* such as row"):
        extract(wrap(model), labelled(Rough()), CLASSES, cache=tmp_path)


def test_consecutive_rows_of_a_shard_are_memory_mapped(model, tmp_path):
    inputs = Rough()
    extract(wrap(model), labelled(inputs), CLASSES, cache=tmp_path)
    store = Store.read(tmp_path)
    rows = np.arange(17, 31)
    mapped = store.gather(rows)
    assert isinstance(mapped, np.memmap)
    assert np.allclose(mapped, expected(model, inputs.values[rows]), atol=1e-6)
    assert not mapped.flags.writeable
    assert store.gather(np.array([], dtype=np.int64)).shape == (0, D)


@settings(deadline=None, max_examples=30)
@given(rows=st.lists(st.integers(0, N - 1), max_size=80))
def test_any_view_gets_its_own_rows(tmp_path_factory, rows):
    inputs, net = Rough(), Counted()
    folder = tmp_path_factory.mktemp("entry")
    found = extract(wrap(net), labelled(View(inputs, rows)), CLASSES, cache=folder)
    assert np.allclose(found.rows.features, expected(net, inputs.values[rows]), atol=1e-5)


def test_texts_of_any_length_come_back_in_order(tmp_path):
    texts = ["a" * (37 * i % 23) for i in range(40)]

    def prepare(batch):
        return torch.tensor([[len(text)] * 4 for text in batch], dtype=torch.float32)

    model = nn.Sequential(nn.Identity(), nn.Linear(4, 2))
    parent = Texts(texts, "texts")
    found = extract(
        wrap(model, prepare=prepare), labelled(parent), CLASSES, cache=tmp_path, batch_size=8
    )
    assert found.rows.features[:, 0].tolist() == [len(text) for text in texts]


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np, torch
sys.path.insert(0, {tests!r})
import test_extract as t
from evenhand.models.features import extract
from evenhand.models.features import store
from evenhand.models import wrap
store.ROWS_PER_SHARD = 16
torch.manual_seed(0)
class Dying(t.Rough):
    def __getitem__(self, index):
        if index == 40:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)
extract(wrap(t.Counted()), t.labelled(Dying()), t.CLASSES, cache=Path({folder!r}), batch_size=4)
"""


def test_a_killed_extraction_goes_on_at_the_next_shard(tmp_path):
    folder = tmp_path / "entry"
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(folder))
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=120)
    assert died.returncode == -signal.SIGKILL
    assert sorted(Store.read(folder).shards) == [0, 1]
    torch.manual_seed(0)
    model = Counted()
    inputs = Rough()
    found = extract(wrap(model), labelled(inputs), CLASSES, cache=folder)
    assert (model.seen, found.computed) == (18, 18)
    assert np.allclose(found.rows.features, expected(model, inputs.values), atol=1e-6)


def test_two_at_once_share_the_work(model, tmp_path):
    inputs, found = Rough(), []

    def run():
        found.append(extract(wrap(model), labelled(inputs), CLASSES, cache=tmp_path, batch_size=2))

    threads = [Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(part.computed for part in found) == [0, 0, N]
    assert all((part.rows.features == found[0].rows.features).all() for part in found)


def test_inputs_without_a_fingerprint_cannot_be_cached(model):
    with pytest.raises(InputError, match="have no fingerprint"):
        origin_of(wrap(model), [object()])
