"""evenhand cache list and clear, and evenhand init."""

import numpy as np
import pytest
import torch
import typer
from filelock import FileLock
from torch import nn
from typer.testing import CliRunner

from evenhand.cli.cache import app
from evenhand.cli.init import init
from evenhand.errors import ArtefactError, InputError
from evenhand.finetuning.task_file import parse_config
from evenhand.groups import Groups
from evenhand.models import wrap
from evenhand.models.features import cache_root, clear, entries, extract
from evenhand.models.features.cache_folder import private_folder
from evenhand.models.features.extract import origin_of
from evenhand.models.features.store import LOCK, MANIFEST
from evenhand.tasks.inputs import Texts
from evenhand.tasks.task import Examples


def prepare(batch):
    return torch.tensor([[float(len(text))] * 3 for text in batch])


@pytest.fixture
def entry(tmp_path, monkeypatch):
    monkeypatch.setenv("EVENHAND_CACHE", str(tmp_path))
    backbone = wrap(nn.Sequential(nn.Identity(), nn.Linear(3, 2)), prepare=prepare, name="tiny")
    texts = Texts(["a", "bb", "ccc"], "words")
    examples = Examples(texts, np.array([0, 1, 0]), Groups(np.array([0, 1, 1]), ("a", "b")))
    folder = tmp_path / origin_of(backbone, texts).name
    extract(backbone, examples, ("n", "y"), cache=folder)
    return folder


def test_the_root_is_the_environments_or_the_platforms(monkeypatch, tmp_path):
    monkeypatch.setenv("EVENHAND_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("EVENHAND_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "evenhand" / "features"


def test_list_and_clear(entry):
    assert entries() == [entry]
    assert entry.name.startswith("words-tiny-")
    listed = CliRunner().invoke(app, ["list"])
    assert f"{entry.name}  3 rows × 3 float32" in listed.stdout
    assert "words through tiny" in listed.stdout
    assert clear(entry.name) > 0
    assert entries() == []
    assert not entry.exists()
    assert "no cached features in" in CliRunner().invoke(app, ["list"]).stdout


def test_clear_by_the_command(entry):
    assert isinstance(CliRunner().invoke(app, ["clear"]).exception, InputError)
    result = CliRunner().invoke(app, ["clear", entry.name])
    assert result.stdout.startswith("cleared 1")
    assert CliRunner().invoke(app, ["clear", "--all"]).stdout.startswith("cleared 0")


def test_a_damaged_manifest_is_listed_and_can_be_cleared(entry):
    (entry / MANIFEST).write_text("{")
    assert "damaged" in CliRunner().invoke(app, ["list"]).stdout
    clear(entry.name)
    assert entries() == []


def test_a_cache_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"cannot use the cache folder .* set EVENHAND_CACHE"):
        private_folder(tmp_path / "file" / "entry")


def test_no_such_entry_names_the_nearest(entry):
    with pytest.raises(InputError, match=f"did you mean {entry.name}"):
        clear(entry.name[:-1])


def test_an_entry_in_use_is_not_cleared(entry):
    with FileLock(entry / LOCK), pytest.raises(ArtefactError, match="in use by another process"):
        clear(entry.name)
    assert entries() == [entry]


def test_init_writes_a_task_file_that_passes():
    app = typer.Typer()
    app.command()(init)
    result = CliRunner().invoke(app, ["images"])
    assert parse_config(result.stdout).task == "images"
    assert isinstance(CliRunner().invoke(app, ["sound"]).exception, InputError)
