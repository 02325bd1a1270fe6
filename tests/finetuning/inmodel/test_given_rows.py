"""Rows and batches of every kind for adapters, and the learning rate over their steps."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from evenhand.errors import InputError
from evenhand.finetuning.inmodel.adapt import adapt
from evenhand.finetuning.inmodel.batches import as_batches
from evenhand.groups import Groups
from evenhand.models.prepare import PrepareArrays
from evenhand.tasks.task import Examples
from evenhand.weights import Weights

pytest.importorskip("peft")
N, D = 240, 4


class Net(nn.Module):
    def __init__(self, outputs=2):
        super().__init__()
        self.first, self.second, self.fc = nn.Linear(D, 8), nn.Linear(8, 8), nn.Linear(8, outputs)

    def forward(self, x):
        return self.fc(torch.relu(self.second(torch.relu(self.first(x)))))


def net(outputs=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net(outputs)


def rows():
    rng = np.random.default_rng(0)
    y, g = rng.integers(0, 2, N), rng.integers(0, 2, N)
    x = rng.normal(size=(N, D)) + y[:, None] * [1, 0, 0.3, 0] + g[:, None] * [0, 1, 0, 0]
    return x.astype(np.float32), y, g


def loader(size=40):
    x, y, g = rows()
    data = torch.utils.data.TensorDataset(
        torch.as_tensor(x), torch.as_tensor(y), torch.as_tensor(g)
    )
    return torch.utils.data.DataLoader(data, batch_size=size)


def rates(monkeypatch, **settings):
    """The adapters' learning rate at each step."""
    seen = []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        seen.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    adapt(net(), ridge=1e-2, learning_rate=1e-3, epochs=5, strength=0.0, **settings)
    return np.array(seen)


@pytest.mark.parametrize(
    "settings",
    [
        {"train": loader(), "target_modules": ["second"], "cache": False},
        {"train": loader(), "target_modules": ["first"]},
        {"train": rows(), "target_modules": ["first"], "batch_size": 40},
        {"train": rows(), "target_modules": ["second"], "batch_size": 40},
    ],
    ids=["loader", "loader, first layer", "rows, first layer", "rows, remembered"],
)
def test_the_rate_rises_and_falls_by_steps(monkeypatch, settings):
    found = rates(monkeypatch, **settings)
    assert len(found) == 5 * 6
    done = np.arange(30) / 30
    warm = np.maximum(done, 0.01) / 0.1
    cosine = 0.5 * (1 + np.cos(np.pi * (done - 0.1) / 0.9))
    np.testing.assert_allclose(found, 1e-3 * np.where(done < 0.1, warm, cosine), rtol=1e-6)


def weight(train, **more):
    settings = {"target_modules": ["second"], "ridge": 1e-2, "epochs": 1, "batch_size": 40}
    return adapt(net(), train, **(settings | more)).fc.weight.detach().numpy()


def test_rows_of_every_library_are_read_by_position():
    x, y, g = rows()
    index = np.random.default_rng(1).permutation(N)
    expected = weight((x, y, g))
    words = np.array(["no", "yes"])
    for train in (
        (pd.DataFrame(x, index=index), pd.Series(y, index=index), pd.Series(g, index=index)),
        {"inputs": x, "labels": words[y], "group": pd.DataFrame({"sex": g}, index=index)},
        (torch.as_tensor(x), y[:, None].astype(np.float16), g[:, None]),
        (np.ma.array(x), 2 * y - 1, g + 1),
        (x.astype(np.float64), y.astype(bool), np.where(g, "v", "u")),
    ):
        np.testing.assert_allclose(weight(train), expected, rtol=1e-4, atol=1e-6)


def test_batches_of_frames_are_read_by_position():
    x, y, g = rows()
    parts = [slice(start, start + 40) for start in range(0, N, 40)]
    plain = [(torch.as_tensor(x[p]), torch.as_tensor(y[p]), g[p]) for p in parts]
    index = np.arange(40)[::-1]
    series = [
        (torch.as_tensor(x[p]), pd.Series(y[p], index=index), pd.Series(g[p], index=index))
        for p in parts
    ]
    np.testing.assert_array_equal(weight(plain), weight(series))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_models_of_other_precisions(dtype):
    settings = {"target_modules": ["second"], "ridge": 1e-2, "epochs": 1}
    found, plain = adapt(net().to(dtype), rows(), **settings), adapt(net(), rows(), **settings)
    assert found.fc.weight.dtype == found.second.weight.dtype == dtype
    x = torch.as_tensor(rows()[0])
    alike = found(x.to(dtype)).argmax(1) == plain(x).argmax(1)
    assert alike.float().mean() > 0.95


def test_one_logit_stays_one():
    two = net()
    one = net(1)
    with torch.no_grad():
        one.fc.weight[0], one.fc.bias[0] = (
            two.fc.weight[1] - two.fc.weight[0], two.fc.bias[1] - two.fc.bias[0]
        )  # fmt: skip
        for name in ("first", "second"):
            getattr(one, name).load_state_dict(getattr(two, name).state_dict())
    settings = {"target_modules": ["second"], "ridge": 1e-2, "epochs": 2, "strength": 0.0}
    found, expected = adapt(one, rows(), **settings), adapt(two, rows(), **settings)
    x = torch.as_tensor(rows()[0])
    assert found(x).shape == (N, 1)
    alike = (found(x)[:, 0] > 0) == (expected(x).argmax(1) == 1)
    assert alike.float().mean() > 0.95


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["no", "yes"], "labels of a batch must be integers"),
        ([0.5, 1.0], "labels of a batch must be integers"),
        ([0, None], "labels of a batch must be integers"),
        ([0, 50_000_000], "labels reach from 0 to 50,000,000"),
        ([[0], [1, 2]], "hold a list"),
    ],
    ids=str,
)
def test_labels_of_batches_that_say_nothing_are_refused(labels, words):
    batches = [(torch.zeros(2, D), labels, [0, 1])]
    with pytest.raises(InputError, match=words):
        adapt(net(), batches, target_modules=["second"], epochs=1)


def test_a_batch_alone_does_not_decide_what_minus_one_means():
    batches = as_batches([(None, [0, 1], [-1, 1])], PrepareArrays(), groups="g", size=2, seed=0)
    (batch,) = batches
    assert batch.groups == (None, 1)


def test_weights_of_rows_are_refused_and_not_left_out_unseen():
    x, y, g = rows()
    weights = Weights.of(np.ones(N), "survey", "w")
    examples = Examples(x, y, Groups.from_values(list(g)), weights)
    with pytest.raises(InputError, match="rows that have weights are not trained below the head"):
        adapt(net(), examples, target_modules=["second"])
