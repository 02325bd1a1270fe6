"""Pre-trained networks in the cache: believed only where they are what was asked, and one's own."""

import os
import shutil

import numpy as np
import pytest

from evenhand._base import cache_folder
from evenhand.models.mlp import MLP, mlp_head
from evenhand.models.pretrained_mlp import cached_mlp, kept
from evenhand.models.saving import SEAL, WEIGHTS


@pytest.fixture
def make():
    """Makes an MLP, and counts how many it made."""

    def made() -> MLP:
        made.number += 1
        return MLP(3, 2)

    made.number = 0
    return made


def test_one_is_made_once(tmp_path, make):
    first, _ = cached_mlp(tmp_path, {"seed": 0}, make)
    again, notes = cached_mlp(tmp_path, {"seed": 0}, make)
    assert np.array_equal(mlp_head(again).weight, mlp_head(first).weight)
    assert notes == ()
    assert make.number == 1
    cached_mlp(tmp_path, {"seed": 1}, make)
    assert make.number == 2
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["flip", "remove", "seal"])
def test_a_damaged_one_is_made_again_and_named(tmp_path, make, damage):
    cached_mlp(tmp_path, {"seed": 0}, make)
    (folder,) = kept(tmp_path)
    if damage == "flip":
        (folder / WEIGHTS).write_bytes(b"x" + (folder / WEIGHTS).read_bytes()[1:])
    elif damage == "remove":
        (folder / WEIGHTS).unlink()
    else:
        (folder / SEAL).write_text("[]")
    _, (note,) = cached_mlp(tmp_path, {"seed": 0}, make)
    assert make.number == 2
    assert str(folder) in note
    assert cached_mlp(tmp_path, {"seed": 0}, make)[1] == ()
    assert make.number == 2


def test_one_in_the_place_of_another_is_made_again_and_named(tmp_path, make):
    cached_mlp(tmp_path, {"seed": 0}, make)
    (own,) = kept(tmp_path)
    other, _ = cached_mlp(tmp_path, {"seed": 1}, make)
    (theirs,) = set(kept(tmp_path)) - {own}
    shutil.rmtree(own)
    shutil.copytree(theirs, own)
    found, (note,) = cached_mlp(tmp_path, {"seed": 0}, make)
    assert f"{own} is of another run: it is made again" in note
    assert not np.array_equal(mlp_head(found).weight, mlp_head(other).weight)
    assert make.number == 3


def test_one_of_another_user_is_not_believed(tmp_path, make, monkeypatch):
    theirs, _ = cached_mlp(tmp_path, {"seed": 0}, make)
    stranger = os.getuid() + 1
    monkeypatch.setattr(cache_folder.os, "getuid", lambda: stranger)
    found, (note,) = cached_mlp(tmp_path, {"seed": 0}, make)
    assert make.number == 2
    assert "it belongs to another user" in note
    assert not np.array_equal(mlp_head(found).weight, mlp_head(theirs).weight)
