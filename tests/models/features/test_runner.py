"""Batches: halved where memory is full, grown where there is more, on any device."""

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from evenhand.errors import ModelError
from evenhand.models import wrap
from evenhand.models.features.runner import Runner

ROWS = np.random.default_rng(0).normal(size=(70, 4)).astype(np.float32)


class Small(nn.Module):
    """A device's memory that holds ``room`` rows; told of every batch it saw."""

    def __init__(self, room):
        super().__init__()
        self.body, self.fc = nn.Linear(4, 3), nn.Linear(3, 2)
        self.room, self.batches = room, []

    def forward(self, x):
        if len(x) > self.room:
            raise torch.OutOfMemoryError(f"tried to allocate {len(x)} rows")
        self.batches.append(len(x))
        return self.fc(torch.relu(self.body(x)))


def runner_of(model, batch_size=None):
    return Runner(wrap(model, "fc"), list(ROWS), batch_size, "float32", None, 0.0)


def run(runner):
    told = []
    features, unreadable = runner.run(np.arange(len(ROWS)), told.append, len(ROWS))
    assert sum(told) == len(ROWS)
    assert not unreadable
    return features


@pytest.mark.parametrize("room", [1, 5, 16, 63, 64, 1000])
def test_a_batch_that_does_not_fit_is_halved_and_no_row_is_lost(room):
    torch.manual_seed(0)
    model = Small(room)
    features = run(runner_of(model))
    with torch.inference_mode():
        expected = torch.relu(model.body(torch.from_numpy(ROWS))).numpy()
    np.testing.assert_allclose(features, expected, atol=1e-6)
    assert max(model.batches) <= room


def test_one_input_too_large_is_said():
    with pytest.raises(ModelError, match=r"does not fit on cpu with a single input.*--device cpu"):
        run(runner_of(Small(0)))


def test_batches_grow_on_a_gpu_until_its_memory_is_full():
    model = Small(100)
    runner = runner_of(model)
    runner._growing, runner._size = True, 4
    run(runner)
    assert model.batches == [4, 4, 8, 16, 32, 6]  # one is read ahead
    model = Small(10)
    runner = runner_of(model)
    runner._growing, runner._size = True, 4
    run(runner)
    assert max(model.batches) == 8


def test_a_size_asked_for_is_kept_to():
    model = Small(100)
    run(runner_of(model, 20))
    assert model.batches == [20, 20, 20, 10]


@pytest.mark.skipif(torch.version.cuda is None, reason="this torch knows no CUDA devices")
def test_no_tensor_of_the_road_is_left_on_the_processor():
    device = "cuda"
    with FakeTensorMode(allow_non_fake_inputs=True):
        try:
            with torch.device(device):
                model = Small(100)
        except RuntimeError as error:
            if "driver" not in str(error):
                raise
            pytest.skip("this torch asks for a driver of devices that it only imagines")
        backbone = wrap(model, "fc")
        features = backbone.read(torch.zeros(8, 4))
        logits = backbone.apply_head(features)
        assert {features.device.type, logits.device.type} == {device}
