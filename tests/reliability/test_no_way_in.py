"""Files of others run nothing, read nothing outside, and fill neither the memory nor the disk."""

import gzip
import json
import os
import pickle
import socket
import stat
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from evenhand import models
from evenhand._base.files import make_private, writable_folder, write_atomically
from evenhand._base.seals import sealed
from evenhand.cli.main import main
from evenhand.errors import ArtefactError, EvenhandError, InputError
from evenhand.finetuning.task_file import parse_config
from evenhand.models.saving import SEAL, load, save
from evenhand.models.weights import read_weights
from evenhand.tasks import archive as archive_module
from evenhand.tasks import table_file
from evenhand.tasks.archive import open_archive
from evenhand.tasks.read_table import read_frame


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_nothing_is_unpickled(tmp_path):
    mark = tmp_path / "was here"
    for name, content in {
        "a.pt": pickle.dumps(Bomb(mark), 2),
        "b.pth": pickle.dumps({"fc.weight": Bomb(mark)}, 2),
        "c.safetensors": pickle.dumps(Bomb(mark), 2),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ArtefactError):
            read_weights(tmp_path / name)
    torch.save({"fc.weight": Bomb(mark)}, tmp_path / "d.pt")
    with pytest.raises(ArtefactError, match="never unpickled"):
        read_weights(tmp_path / "d.pt")
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch HERE']",
        "task: !!python/name:os.system ''",
        "&a [*a]",
    ],
)
def test_a_task_file_makes_no_objects(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        parse_config(text)
    assert not (tmp_path / "HERE").exists()


def test_no_network_for_a_local_model_and_none_of_its_code(tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers")
    mark = tmp_path / "was here"
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
    )
    folder = tmp_path / "model"
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert models.load(folder).out_features == 2
    theirs = json.loads((folder / "config.json").read_text())
    theirs |= {
        "model_type": "theirs",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForImageClassification": "own.Model"},
    }
    (folder / "config.json").write_text(json.dumps(theirs))
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w')\n")
    with pytest.raises(EvenhandError):
        models.load(folder)
    assert not mark.exists()


def test_a_saved_model_names_no_class_but_a_models(tmp_path):
    pytest.importorskip("transformers")
    folder = save(nn.Linear(3, 2), tmp_path / "model")
    from evenhand._base.seals import unsealed

    seal = unsealed((folder / SEAL).read_text())
    (folder / SEAL).write_text(sealed(seal | {"kind": "transformers", "class": "x.AutoConfig"}))
    with pytest.raises(InputError, match="transformers has no x"):
        load(folder)


def test_a_gzip_bomb_is_refused_while_it_unpacks(tmp_path, monkeypatch):
    monkeypatch.setattr(table_file, "MAX_UNPACKED", 1000)
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 500_000)
    with pytest.raises(InputError, match="unpacks to more than"):
        read_frame(packed, name="x.csv.gz")
    assert len(read_frame(gzip.compress(b"a,b\n" + b"1,2\n" * 50), name="x.csv.gz")[0]) == 50
    with pytest.raises(InputError, match="not a whole gzip file"):
        read_frame(packed[:30] + b"\xff\xff\xff" + packed[33:], name="x.csv.gz")


def test_a_zip_that_lies_about_its_sizes(tmp_path, monkeypatch):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.bin", b"\0" * 200_000)
    content = path.read_bytes()
    lied = content.replace((200_000).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    path.write_bytes(lied)
    monkeypatch.setattr(archive_module, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match=r"bomb\.bin in bomb\.zip"):
        open_archive(path).read("bomb.bin")


def test_a_folder_gives_plain_files_of_a_sane_size(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "big").write_bytes(b"x" * 2000)
    archive = open_archive(tmp_path)
    assert list(archive.sizes) == ["big"]
    with pytest.raises(InputError, match="no plain file"):
        archive.read("pipe")
    monkeypatch.setattr(archive_module, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="2000 bytes, more than"):
        archive.read("big")
    (tmp_path / "big").unlink()
    with pytest.raises(InputError, match="not there any more"):
        archive.fingerprint(["big"])


def test_folders_and_files_are_their_owners_alone(tmp_path):
    old = os.umask(0)
    try:
        folder = writable_folder(tmp_path / "runs" / "one")
        write_atomically(folder / "cells" / "a.json", "{}")
        save(nn.Linear(3, 2), folder / "model")
        make_private(tmp_path / "cache" / "entry")
    finally:
        os.umask(old)
    for path in (*tmp_path.rglob("*"),):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_models_folder_tells_nothing_of_rows(tmp_path, capsys):
    """The values of the group and the label column by row are in no file of the model."""
    draw = np.random.default_rng(0)
    lines = ["x,secret,label"]
    values = ["zebra", "quokka"]
    group = draw.integers(0, 2, 400)
    for index, code in enumerate(group):
        lines.append(f"{index + draw.random():.6f},{values[code]},{int(draw.random() < 0.5)}")
    (tmp_path / "data.csv").write_text("\n".join(lines))
    (tmp_path / "task.yaml").write_text(
        "task: table\ndata: data.csv\nlabel: label\ngroups: secret\nfeatures: [x]\n"
    )
    arguments = ["finetune", str(tmp_path / "task.yaml"), "--strength", "1", "-o"]
    with pytest.raises(SystemExit) as done:
        main([*arguments, str(tmp_path / "run"), "--cache", str(tmp_path / "cache"), "-q"])
    assert not done.value.code, capsys.readouterr().err
    values = [row.split(",")[0].encode() for row in lines[1:]]
    for file in (tmp_path / "run" / "model").iterdir():
        content = file.read_bytes()
        # The card and the promise name the groups, with counts and rates only.
        assert content.count(b"zebra") < (10 if file.suffix in (".md", ".json") else 1), file
        assert not any(value in content for value in values), file
