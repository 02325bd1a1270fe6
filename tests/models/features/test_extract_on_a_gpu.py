"""Features by a GPU: the processor's, in batches that its memory holds, the model given back."""

import numpy as np
import pytest
import torch
from pretended_gpu import waits
from torch import nn

from evenhand.groups import Groups
from evenhand.models import wrap
from evenhand.models.features import extract
from evenhand.models.features.runner import Runner
from evenhand.models.prepare import PrepareImages
from evenhand.tasks.task import Examples


class Net(nn.Module):
    """A small convolutional network, told of the device and size of every batch."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        self.fc, self.seen = nn.Linear(8, 2), []

    def forward(self, x):
        self.seen.append((x.device.type, len(x)))
        return self.fc(self.body(x).mean((2, 3)))


class Hungry(nn.Module):
    """Takes a twentieth of the free memory for each row."""

    def __init__(self):
        super().__init__()
        self.body, self.fc, self.batches = nn.Linear(4, 3), nn.Linear(3, 2), []

    def forward(self, x):
        if x.is_cuda:
            each = torch.cuda.mem_get_info()[0] // 20
            torch.empty(len(x), each, dtype=torch.uint8, device="cuda")
        self.batches.append(len(x))
        return self.fc(torch.relu(self.body(x)))


def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net()


def photos(n=150):
    draw = np.random.default_rng(0)
    squares = draw.integers(0, 255, (n, 24, 24, 3), dtype=np.uint8)
    codes = draw.integers(0, 2, n)
    return Examples(list(squares), draw.integers(0, 2, n), Groups(codes, ("F", "M")))


def features(model, device, **options):
    backbone = wrap(model, "fc", prepare=PrepareImages(16))
    return extract(backbone, photos(), ("n", "y"), device=device, **options).rows.features


@pytest.mark.parametrize(("precision", "share"), [("float32", 5e-3), ("bfloat16", 3e-2)])
def test_features_are_the_processor_s_and_the_model_is_given_back(gpu, precision, share):
    model = net().train()
    expected = features(net(), "cpu")
    found = features(model, gpu, precision=precision)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=share * np.abs(expected).max())
    assert {device for device, _ in model.seen} == {"cuda"}
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    assert model.training


def test_shards_of_a_cache_are_filled_one_after_the_other(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr("evenhand.models.features.store.ROWS_PER_SHARD", 40)
    expected = features(net(), "cpu")
    found = features(net(), gpu, cache=tmp_path / "entry")
    assert len(list((tmp_path / "entry").glob("shard-*"))) == 4
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())


@pytest.mark.parametrize("head", ["fc", None])
def test_the_gpu_is_not_waited_for_between_batches(gpu, head):
    backbone = wrap(net(), head, prepare=PrepareImages(16))
    counts = []
    for size in (50, 10):
        with waits() as number:
            extract(backbone, photos(), ("n", "y"), device=gpu, batch_size=size)
            counts.append(number())
    assert counts[0] == counts[1]  # of 3 batches and of 15


def test_batches_grow_where_nobody_says_how_large(gpu):
    model = net()
    features(model, gpu)
    assert [size for _, size in model.seen] == [64, 64, 22]
    model = net()
    features(model, gpu, batch_size=60)
    assert [size for _, size in model.seen] == [60, 60, 30]


def test_a_batch_that_the_memory_does_not_hold_is_halved(gpu):
    draw = np.random.default_rng(0)
    rows = list(draw.normal(size=(100, 4)).astype(np.float32))
    model = Hungry()
    expected = torch.relu(model.body(torch.as_tensor(np.stack(rows)))).detach().numpy()
    runner = Runner(wrap(model, "fc"), rows, None, "float32", torch.device(gpu), 0.0)
    with runner.running():
        found, _ = runner.run(np.arange(100), lambda _: None, 100)
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert sum(model.batches) == 100
    assert max(model.batches) == 16
