"""Arguments from Python that nothing can be done with: refused by name, never a traceback."""

import numpy as np
import pytest
import torch
from torch import nn

import evenhand as eh
from evenhand.errors import EvenhandError, ModelError
from evenhand.models import load, wrap

BIG = 10**400


def split(seed):
    rng = np.random.default_rng(seed)
    y, g = rng.integers(0, 2, 80), rng.integers(0, 2, 80)
    return (rng.normal(size=(80, 3)) + y[:, None]).astype(np.float32), y, g


SPLITS = {"train": split(0), "valid": split(1), "test": split(2)}
SETTINGS = [
    *({"confidence": value} for value in (BIG, "x", float("nan"), True)),
    *({"max_cost": value} for value in (BIG, -BIG, "x", float("nan"))),
    *({"seed": value} for value in (BIG, -1, "x", float("nan"), 2**32)),
    *({"bound": value} for value in ({"eo": BIG}, {"eo": "x"}, {"eo": None}, BIG, "eo", [1, 2])),
    *({"classes": value} for value in (3, "ab", ["a", "a"], ["a"])),
    *({"head": value} for value in (3, "\0", "", "1")),
    {"criterion": "\0"},
    {"error": "nothing"},
    {"bound": {"\0": 0.1}},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda value: str(value)[:30])
def test_settings(settings):
    with pytest.raises(EvenhandError) as refused:
        eh.finetune(nn.Sequential(nn.Linear(3, 2)), **SPLITS, **settings)
    assert 10 < len(str(refused.value)) < 1_000


INPUTS = [
    np.zeros((80, 0), np.float32),
    np.zeros((80, 3), complex),
    np.zeros((80, 3), "M8[D]"),
    [[BIG] * 3] * 80,
    [["a"] * 3] * 80,
    [None] * 80,
    [[0.0]] * 79 + [[0.0, 1.0]],
    torch.zeros(80, 3, device="meta"),
    torch.zeros(80, 3).to_sparse(),
    iter([1]),
    "abc",
    None,
    3,
]


@pytest.mark.parametrize("inputs", INPUTS, ids=lambda value: f"{type(value).__name__}")
def test_inputs(inputs):
    part = (inputs, *SPLITS["train"][1:])
    with pytest.raises(EvenhandError):
        eh.finetune(nn.Sequential(nn.Linear(3, 2)), part, part, part)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (None, "found a NoneType"),
        ("resnet18", "found a str"),
        (nn.Identity(), "no head to fine-tune"),
        (nn.Sequential(nn.LazyLinear(2)), "'0.weight' has no shape yet"),
        (nn.Sequential(nn.Linear(3, 2, device="meta")), "'0.weight' is on the meta device"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_models(model, words):
    with pytest.raises(ModelError, match=words):
        wrap(model)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")
def test_a_head_without_outputs():
    with pytest.raises(ModelError, match="maps 3 features to 0 logits"):
        wrap(nn.Sequential(nn.Linear(3, 0)))


NAMES = ["\0", "~nosuchuser/x", "a/\0", "\0:f", "a" * 5000, "", ":", "a:", "json:\0", "é" * 600]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_of_models(name):
    with pytest.raises(EvenhandError):
        load(name)


WEIGHTS = ["\0", "~nosuchuser/w.pt", "\0.safetensors", "a" * 5000 + ".pt", "/", "", BIG, 3.5]


@pytest.mark.parametrize("weights", WEIGHTS, ids=range(len(WEIGHTS)))
def test_weights_files(torchvision, weights):
    with pytest.raises(EvenhandError):
        load("resnet18", weights=weights)


@pytest.mark.parametrize("length", [BIG, -1, 0, "x", 1.5, True])
def test_lengths_of_texts(length):
    with pytest.raises(EvenhandError, match="max_length must be a whole number above 0"):
        load("all-MiniLM-L6-v2", max_length=length)
