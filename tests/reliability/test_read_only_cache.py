"""A cache that cannot be written stops nothing: one line says so."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from evenhand._base import cache_folder as files_module
from evenhand.cli.main import main
from evenhand.groups import Groups
from evenhand.models import wrap
from evenhand.models.features import extract, extract_task
from evenhand.tasks.inputs import Texts, View
from evenhand.tasks.task import Examples, Task


def task():
    parent = Texts(["a" * (i % 7 + 1) for i in range(40)], "texts")
    parts = {}
    for name, rows in {"train": range(20), "valid": range(20, 30), "test": range(30, 40)}.items():
        codes = np.arange(len(rows)) % 2
        parts[name] = Examples(View(parent, list(rows)), codes, Groups(codes, ("a", "b")))
    return Task("t", ("n", "y"), "y", fingerprint="f", **parts)


def backbone():
    def prepare(batch):
        return torch.tensor([[float(len(text))] * 4 for text in batch])

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return wrap(nn.Sequential(nn.Identity(), nn.Linear(4, 2)), prepare=prepare)


@pytest.fixture
def read_only(monkeypatch):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files_module.tempfile, "TemporaryFile", refuse)


def test_finetune_adult_runs_without_the_cache(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    arguments = ["finetune", "adult", "--strength", "1", "-o", str(tmp_path / "run"), "--json"]
    with pytest.raises(SystemExit) as done:
        main([*arguments, "--cache", str(tmp_path / "file" / "cache")])
    assert not done.value.code
    told = json.loads(capsys.readouterr().out)["warnings"]
    assert [w for w in told if w.startswith("the pre-trained network is not kept in the cache")]


def test_features_are_computed_and_not_kept(tmp_path, read_only):
    found = extract_task(backbone(), task(), root=tmp_path)
    assert found.entry is None
    assert found.computed == 40
    assert [note for note in found.notes if "Read-only file system" in note] == list(found.notes)
    assert len(found.notes) == 1
    assert not list(tmp_path.glob("*/*"))


def test_a_whole_entry_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    first = extract_task(backbone(), task(), root=tmp_path)
    monkeypatch.setattr(
        files_module.tempfile, "TemporaryFile", lambda **_: (_ for _ in ()).throw(OSError(30, "ro"))
    )
    again = extract_task(backbone(), task(), root=tmp_path)
    assert (again.computed, again.notes, again.entry) == (0, (), first.entry)
    np.testing.assert_array_equal(again.test.features, first.test.features)


def test_an_entry_asked_for_by_name_must_be_writable_or_whole(tmp_path, read_only):
    with pytest.raises(files_module.InputError, match="cannot write to the cache folder"):
        extract(backbone(), task().train, ("n", "y"), cache=tmp_path / "entry")
