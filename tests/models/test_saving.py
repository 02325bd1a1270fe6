import json

import numpy as np
import pytest
import torch
from torch import nn

from evenhand.errors import ArtefactError, InputError, ModelError
from evenhand.models.mlp import MLP
from evenhand.models.saving import CONFIG, SEAL, WEIGHTS, load, save

X = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))


def plain():
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).eval()


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = MLP(6, 3, layers=3, hidden=5).eval()
    return model, save(model, tmp_path / "model", about={"classes": ["a", "b", "ü"]})


def test_an_mlp_loads_by_itself_and_predicts_the_same(saved):
    model, folder = saved
    state = torch.get_rng_state()
    found = load(folder)
    assert torch.equal(state, torch.get_rng_state())
    assert isinstance(found, MLP)
    assert found.config == model.config
    assert not found.training
    assert torch.equal(found(X), model(X))
    seal = json.loads((folder / SEAL).read_text(encoding="utf-8"))
    assert seal["classes"] == ["a", "b", "ü"]
    assert {path.name for path in folder.iterdir()} == {SEAL, WEIGHTS, CONFIG}


def test_any_module_loads_into_one_of_its_class(tmp_path):
    torch.manual_seed(0)
    model = plain()
    model[1].running_mean += 1
    folder = save(model, tmp_path / "m")
    into = plain()
    assert load(folder, into) is into
    assert torch.equal(into(X), model(X))
    with pytest.raises(InputError, match=r"is a torch.nn.modules.container.Sequential: give"):
        load(folder)
    with pytest.raises(ModelError, match="Sequential does not fit"):
        load(folder, nn.Sequential(nn.Linear(6, 3)))


@pytest.mark.parametrize("where", [8, 200, -1])
def test_one_flipped_bit_is_found(saved, where):
    _, folder = saved
    packed = bytearray((folder / WEIGHTS).read_bytes())
    packed[where] ^= 1
    (folder / WEIGHTS).write_bytes(packed)
    with pytest.raises(ArtefactError, match="is damaged or was changed: sha256"):
        load(folder)


def test_other_damage_is_named(saved):
    _, folder = saved
    config, seal = (folder / CONFIG).read_text(), (folder / SEAL).read_text()
    for text in ("{", "{}", '{"inputs": "x"}', "[]"):
        (folder / CONFIG).write_text(text)
        with pytest.raises(ArtefactError, match=r"config\.json is damaged or was changed: sha256"):
            load(folder)
    (folder / CONFIG).write_text(config)
    for text in ("{", "[]", "{}"):
        (folder / SEAL).write_text(text)
        with pytest.raises(ArtefactError):
            load(folder)
    (folder / SEAL).write_text(seal)
    (folder / CONFIG).unlink()
    with pytest.raises(ArtefactError, match=r"config\.json"):
        load(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(InputError, match="holds no saved model"):
        load(folder)
    with pytest.raises(InputError, match="holds no saved model"):
        load(folder.parent / "nowhere")


def test_where_it_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot write"):
        save(plain(), tmp_path / "file" / "model")


def test_views_and_shared_weights_are_saved(tmp_path):
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    model[1].weight = model[0].weight
    folder = save(model, tmp_path / "m")
    into = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    load(folder, into)
    np.testing.assert_array_equal(into(X).detach().numpy(), model(X).detach().numpy())


@pytest.mark.parametrize(
    "name",
    [
        *("adapter_config.json", "adapter_model.safetensors", "model.safetensors.index.json"),
        *("pytorch_model.bin", "encoder/model.safetensors"),
    ],
)
def test_what_would_be_loaded_on_top_is_named(tmp_path, name):
    folder = save(MLP(3, 2), tmp_path / "model")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}")
    with pytest.raises(ArtefactError, match=f"{name} is no part of the model that was saved"):
        load(folder)


def test_an_older_models_files_are_not_carried_over_and_others_are(tmp_path):
    old = nn.Linear(3, 2)
    folder = save(old, tmp_path / "model", more={"vocabulary.txt": "a"})
    (folder / "mine.txt").write_text("mine")
    save(MLP(3, 2), folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {WEIGHTS, CONFIG, SEAL, "mine.txt"}
    assert isinstance(load(folder), MLP)
