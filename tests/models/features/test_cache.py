"""evenhand cache list and clear, and evenhand init."""

import os
import re
import shutil
import stat

import numpy as np
import pytest
import torch
import typer
from filelock import FileLock
from torch import nn
from typer.testing import CliRunner

from evenhand._base import cache_folder
from evenhand._base.cache_folder import private_folder
from evenhand.cli.cache import app
from evenhand.cli.init import init
from evenhand.errors import ArtefactError, InputError
from evenhand.finetuning.task_file import parse_config
from evenhand.groups import Groups
from evenhand.models import wrap
from evenhand.models.features import cache_root, clear, entries, extract, extract_task
from evenhand.models.features.cache import networks
from evenhand.models.features.extract import origin_of
from evenhand.models.features.store import LOCK, MANIFEST, is_whole
from evenhand.models.mlp import MLP
from evenhand.models.pretrained_mlp import cached_mlp
from evenhand.tasks.inputs import Texts
from evenhand.tasks.task import Examples, Task


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
    assert re.fullmatch("features-[0-9a-f]{16}", entry.name)
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


def test_a_name_is_no_part_of_what_features_come_from(entry):
    texts = Texts(["a", "bb", "ccc"], "the same under another name")
    examples = Examples(texts, np.array([0, 1, 0]), Groups(np.array([0, 1, 1]), ("a", "b")))
    other = wrap(nn.Sequential(nn.Identity(), nn.Linear(3, 2)), prepare=prepare, name="other")
    assert origin_of(other, texts).name == entry.name
    assert extract(other, examples, ("n", "y"), cache=entry).computed == 0
    assert origin_of(other, Texts(["a", "bb", "ccd"], "words")).name != entry.name


def test_folders_of_other_programs_are_no_entries(entry, tmp_path):
    (tmp_path / "extension").mkdir()
    (tmp_path / "extension" / MANIFEST).write_text('{"format": 2, "seal": "x"}')
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shard-00000.safetensors").write_bytes(b"mine")
    assert entries() == [entry]
    for name in ("extension", "data", "..", ".", "", "mlp", "mlp/../data"):
        with pytest.raises(InputError, match="nothing called"):
            clear(name)
    assert CliRunner().invoke(app, ["clear", "--all"]).stdout.startswith("cleared 1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "extension"]
    assert (tmp_path / "data" / "shard-00000.safetensors").read_bytes() == b"mine"


def test_files_of_somebody_else_in_an_entry_stay(entry):
    (entry / "thesis.tex").write_text("mine")
    before = sorted(entry.iterdir())
    result = CliRunner().invoke(app, ["clear", "--all"])
    assert isinstance(result.exception, InputError)
    assert "holds thesis.tex, which evenhand did not put there" in str(result.exception)
    assert sorted(entry.iterdir()) == before


def test_no_link_is_followed(entry, tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    shutil.copytree(entry, outside / "features-0123456789abcdef")
    (tmp_path / "features-0123456789abcdef").symlink_to(outside / "features-0123456789abcdef")
    (outside / "mine").write_text("mine")
    shard = entry / "shard-00000.safetensors"
    shard.unlink()
    shard.symlink_to(outside / "mine")
    (tmp_path / "mlp").symlink_to(outside)
    assert entries() == [entry]
    assert CliRunner().invoke(app, ["clear", "--all"]).stdout.startswith("cleared 1")
    assert not entry.exists()
    assert (outside / "mine").read_text() == "mine"
    assert len(list((outside / "features-0123456789abcdef").iterdir())) == 3


def test_a_clearing_cut_short_anywhere_is_ended_by_the_next(entry, monkeypatch):
    files = sorted(file.name for file in entry.iterdir())
    content = {name: (entry / name).read_bytes() for name in files}
    real = type(entry).unlink

    for point in range(len(files) + 1):
        done = []

        def cut(path, *, missing_ok=False, point=point, done=done):
            if len(done) == point:
                raise KeyboardInterrupt
            done.append(path)
            real(path, missing_ok=missing_ok)

        entry.mkdir(exist_ok=True)
        for name in files:
            (entry / name).write_bytes(content[name])
        with monkeypatch.context() as patch:
            patch.setattr(type(entry), "unlink", cut)
            patch.setattr(type(entry), "rmdir", cut)
            with pytest.raises(KeyboardInterrupt):
                clear(entry.name)
        assert entry.name in CliRunner().invoke(app, ["list"]).stdout
        assert CliRunner().invoke(app, ["clear", "--all"]).stdout.startswith("cleared 1")
        assert not entry.exists()


def test_networks_are_listed_and_cleared(entry, tmp_path):
    cached_mlp(tmp_path, {"seed": 0}, lambda: MLP(3, 2))
    cached_mlp(tmp_path, {"seed": 1}, lambda: MLP(3, 2))
    first, second = networks()
    assert f"mlp/{first.name}  a pre-trained network" in CliRunner().invoke(app, ["list"]).stdout
    assert clear(f"mlp/{first.name}") > 100
    assert networks() == [second]
    (second / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds mine\.txt"):
        clear(f"mlp/{second.name}")
    (second / "mine.txt").unlink()
    assert CliRunner().invoke(app, ["clear", "--all"]).stdout.startswith("cleared 2")
    assert networks() == entries() == []


def test_the_root_and_all_in_it_are_closed_to_others(tmp_path):
    texts = Texts(["a", "bb", "ccc"], "words")
    backbone = wrap(nn.Sequential(nn.Identity(), nn.Linear(3, 2)), prepare=prepare)
    examples = Examples(texts, np.array([0, 1, 0]), Groups(np.array([0, 1, 1]), ("a", "b")))
    old = os.umask(0)
    try:
        extract(backbone, examples, ("n", "y"), cache=tmp_path / "x" / "cache" / "entry")
        cached_mlp(tmp_path / "y" / "cache", {"seed": 0}, lambda: MLP(3, 2))
    finally:
        os.umask(old)
    for path in tmp_path.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("whose", ["of another user", "open to others"])
def test_a_planted_entry_is_not_believed(entry, whose, monkeypatch):
    backbone = wrap(nn.Sequential(nn.Identity(), nn.Linear(3, 2)), prepare=prepare, name="tiny")
    texts = Texts(["a", "bb", "ccc"], "words")
    examples = Examples(texts, np.array([0, 1, 0]), Groups(np.array([0, 1, 1]), ("a", "b")))
    why = "it belongs to another user"
    if whose == "open to others":
        entry.chmod(0o777)
        why = "other users can write to it"
    else:
        stranger = os.getuid() + 1
        monkeypatch.setattr(cache_folder.os, "getuid", lambda: stranger)
    assert not is_whole(entry)
    with pytest.raises(InputError, match=why):
        extract(backbone, examples, ("n", "y"), cache=entry)
    task = Task("t", ("n", "y"), "y", examples, examples, examples, fingerprint="f")
    monkeypatch.setattr(type(origin_of(backbone, texts)), "name", entry.name)
    found = extract_task(backbone, task, root=entry.parent)
    assert found.computed == 9
    assert found.entry is None
    assert (
        f"features were computed and not kept: cannot use the cache folder {entry}: {why}"
        in (found.notes[0])
    )


def test_init_writes_a_task_file_that_passes():
    app = typer.Typer()
    app.command()(init)
    result = CliRunner().invoke(app, ["images"])
    assert parse_config(result.stdout).task == "images"
    assert isinstance(CliRunner().invoke(app, ["sound"]).exception, InputError)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../other", "/", "*", "features-*", "a/../..", "~"]
)
def test_what_leads_out_of_the_cache_is_no_entry(entry, tmp_path, name):
    other = tmp_path.parent / "other"
    other.mkdir(exist_ok=True)
    (other / "mine.txt").write_text("kept")
    with pytest.raises(InputError):
        clear(name)
    assert entries() == [entry]
    assert is_whole(entry)
    assert (other / "mine.txt").read_text() == "kept"
