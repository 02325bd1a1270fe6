"""Files of weights as trainers leave them: wrapped, nested, packed with other things, damaged."""

import argparse
import os
import pickle
import sys
import types

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from evenhand.errors import ArtefactError
from evenhand.models.from_torchvision import adopt
from evenhand.models.load import load
from evenhand.models.weights import read_weights, with_names_of


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def loaded(path):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    adopt(model, read_weights(path)[0], "2", str(path))
    return model.state_dict()


def same(found):
    expected = net().state_dict()
    assert found.keys() == expected.keys()
    return all(torch.equal(found[name], expected[name]) for name in expected)


def lightning(state):
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {f"model.{n}": t for n, t in state.items()} | {"loss.weight": torch.ones(2)},
        "optimizer_states": [{"lr": 0.1}],
    }


AVERAGED = torch.optim.swa_utils.AveragedModel
WRAPPED = {
    "compiled": lambda s: {f"_orig_mod.{n}": t for n, t in s.items()},
    "a compiled part": lambda s: {n.replace(".", "._orig_mod."): t for n, t in s.items()},
    "DataParallel, compiled": lambda s: {f"module._orig_mod.{n}": t for n, t in s.items()},
    "compiled, DataParallel": lambda s: {f"_orig_mod.module.{n}": t for n, t in s.items()},
    "DataParallel twice": lambda s: {f"module.module.{n}": t for n, t in s.items()},
    "averaged": lambda s: AVERAGED(net()).state_dict(),
    "averaged, DataParallel": lambda s: AVERAGED(nn.DataParallel(net())).state_dict(),
    "lightning": lightning,
    "lightning, compiled": lambda s: lightning({f"_orig_mod.{n}": t for n, t in s.items()}),
    "inside a net of its own": lambda s: {f"net.encoder.{n}": t for n, t in s.items()},
    "nested": lambda s: {"state": 1, "model": {"state_dict": s, "step": 3}},
    "nested deeper": lambda s: {"ema": {"model": {"module": s}}},
    "running means beside": lambda s: {
        "state_dict": s, "state_dict_ema": {n: t + 1 for n, t in s.items()}
    },
    "timm's running means": lambda s: {"epoch": 2, "state_dict_ema": s},
    "half": lambda s: {n: t.double() for n, t in s.items()},
}  # fmt: skip


@pytest.mark.parametrize("name", WRAPPED)
def test_what_trainers_wrap_around_is_taken_off(tmp_path, name):
    torch.save(WRAPPED[name](net().state_dict()), tmp_path / "w.pt")
    assert same(loaded(tmp_path / "w.pt"))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["model", "net", "_orig_mod", "module", "student"]), max_size=4),
    st.booleans(),
)
def test_any_chain_of_prefixes(tmp_path_factory, prefixes, packed):
    path = tmp_path_factory.mktemp("w") / ("w.safetensors" if packed else "w.bin")
    state = {".".join([*prefixes, name]): tensor for name, tensor in net().state_dict().items()}
    save_file(state, path) if packed else torch.save(state, path)
    assert same(loaded(path))


def test_a_model_whose_own_names_begin_so_keeps_them():
    own = nn.ModuleDict({"model": nn.Linear(2, 2)})
    state = own.state_dict()
    assert with_names_of(state.keys(), state, "w.pt") == state


def test_two_models_in_one_file_are_refused(tmp_path):
    state = net().state_dict()
    both = {f"{who}.{n}": t for who in ("student", "teacher") for n, t in state.items()}
    torch.save(both, tmp_path / "w.pt")
    with pytest.raises(ArtefactError, match=r"2 models, student\., teacher\.: save the state dict"):
        loaded(tmp_path / "w.pt")


def test_safetensors_under_another_name(tmp_path):
    save_file(net().state_dict(), tmp_path / "pytorch_model.bin")
    assert same(loaded(tmp_path / "pytorch_model.bin"))


class Evil:
    def __reduce__(self):
        return os.system, ("echo run > ran",)


def whole_model(path):
    torch.save(net(), path)


def pickled(path):
    path.write_bytes(pickle.dumps({"w": Evil()}))


def hyper_parameters(path):
    torch.save({"state_dict": net().state_dict(), "hparams": argparse.Namespace(lr=1)}, path)


def torchscript(path):
    torch.jit.script(net()).save(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("make", [whole_model, pickled, hyper_parameters, torchscript])
def test_python_objects_are_refused_in_our_own_words(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pt"
    make(path)
    with pytest.raises(ArtefactError, match="never unpickled") as refused:
        read_weights(path)
    said = str(refused.value)
    assert "\x1b" not in said
    assert "weights_only" not in said
    assert "\n" not in said
    assert not (tmp_path / "ran").exists()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_by_name(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("w")
    path = folder / data.draw(st.sampled_from(["w.pt", "w.safetensors"]))
    state = net().state_dict()
    torch.save(state, path) if path.suffix == ".pt" else save_file(state, path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    for _ in range(data.draw(st.integers(1, 5))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    said = ""
    try:
        loaded(path)
    except ArtefactError as error:
        said = str(error)
    assert "\x1b" not in said


def test_a_function_of_the_users_own_reads_wrapped_weights(tmp_path, monkeypatch):
    module = types.ModuleType("my_nets")
    module.build = net
    monkeypatch.setitem(sys.modules, "my_nets", module)
    torch.save(lightning(net().state_dict()), tmp_path / "w.ckpt")
    backbone = load("my_nets:build", weights=tmp_path / "w.ckpt")
    assert same(backbone.model.state_dict())
    assert backbone.pretrained_head


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda weight: weight.to_sparse(), "0.weight packed"),
        (lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8), "0.weight packed"),
        (lambda weight: weight.to("meta"), "0.weight without data"),
        (lambda weight: (9 * weight).int(), "0.weight holds int32, not floats"),
        (lambda weight: weight > 0, "0.weight holds bool, not floats"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*quantized tensor creation:UserWarning")
def test_tensors_that_are_no_plain_floats_are_refused_by_name(tmp_path, change, why):
    state = net().state_dict()
    state["0.weight"] = change(state["0.weight"])
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(ArtefactError, match=why):
        loaded(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors", "w.bin"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><title>404</title>", "a web page"),
        (b'{"error": "unauthorized"}', "JSON, and no file of weights"),
    ],
)
def test_what_stands_in_the_place_of_weights_is_named(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtefactError, match=why):
        read_weights(tmp_path / name)


def test_names_in_a_file_do_not_act_in_an_error(tmp_path):
    torch.save(net().state_dict() | {"\x1b[31mred": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(ArtefactError) as error:
        loaded(tmp_path / "w.pt")
    assert "\x1b" not in str(error.value)
