"""Training below the head on a GPU: the processor's model, and it ends where it began."""

import numpy as np
import pytest
import torch
from pretended_gpu import waits
from torch import nn

import evenhand as eh
from evenhand.finetuning.inmodel import steps


class Net(nn.Module):
    """A stem that is cut off, a layer that trains, and a head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(6, 12), nn.Tanh())
        self.last = nn.Linear(12, 12)
        self.fc, self.devices = nn.Linear(12, 2), set()

    def forward(self, x):
        self.devices.add(x.device.type)
        return self.fc(torch.tanh(self.last(self.stem(x))))


class Stopped(Exception):
    pass


def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net()


def rows():
    draw = np.random.default_rng(0)
    inputs, groups = draw.normal(size=(400, 6)).astype(np.float32), draw.choice(["F", "M"], 400)
    return inputs, (inputs[:, 0] + (groups == "M") > 0.3).astype(int), groups


def batches():
    inputs, labels, groups = rows()
    places = np.arange(400).reshape(-1, 50)
    return [(torch.as_tensor(inputs[at]), torch.as_tensor(labels[at]), groups[at]) for at in places]


def adapted(data=None, model=None, **options):
    asked = {"target_modules": ["last"], "rank": None, "epochs": 3, "batch_size": 50, "ridge": 1e-2}
    model = net() if model is None else model
    return eh.adapt(model, rows() if data is None else data, **asked | options)


def logits(model):
    device = next(model.parameters()).device
    with torch.no_grad():
        return model(torch.as_tensor(rows()[0]).to(device)).cpu()


def agree(found, expected, share):
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=share * scale)
    assert (found.argmax(1) == expected.argmax(1)).float().mean() > 0.97


@pytest.mark.parametrize(
    "options",
    [
        {"rank": None},
        {"rank": 2},
        {"rank": None, "cache": False},
        {"rank": None, "accumulate": 2, "strength": 0.0},
        {"rank": None, "data": "batches"},
    ],
)
def test_the_model_is_the_processor_s(gpu, options):
    if options.get("rank"):
        pytest.importorskip("peft")
    if options.get("data"):
        options = options | {"data": batches()}
    model, told = net(), []
    found = adapted(model=model, device=gpu, on_epoch=told.append, **options)
    assert found.devices == {"cuda"}
    agree(logits(found), logits(adapted(device="cpu", **options)), 2e-2)
    for one in (model, found):
        assert {p.device.type for p in one.parameters()} == {"cpu"}
    assert all(isinstance(epoch.gap, float) and np.isfinite(epoch.log_loss) for epoch in told)


def test_mixed_precision(gpu):
    found = adapted(device=gpu, precision="bfloat16")
    agree(logits(found), logits(adapted(device="cpu", precision="bfloat16")), 5e-2)
    assert {p.dtype for p in found.parameters()} == {torch.float32}


def test_a_model_of_the_gpu_s_stays_there(gpu):
    model = net().to(gpu)
    found = adapted(model=model)
    assert {p.device.type for one in (model, found) for p in one.parameters()} == {"cuda"}
    agree(logits(found), logits(adapted()), 2e-2)


def test_what_was_stopped_goes_on(gpu, tmp_path):
    kept = tmp_path / "last.safetensors"

    def stop(epoch):
        if epoch.number == 2:
            raise Stopped

    with pytest.raises(Stopped):
        adapted(device=gpu, checkpoint=kept, on_epoch=stop)
    again = adapted(device=gpu, checkpoint=kept)
    assert not kept.exists()
    torch.testing.assert_close(logits(again), logits(adapted(device=gpu)), rtol=1e-4, atol=1e-4)


def test_a_loss_that_is_no_longer_finite_is_named(gpu):
    with pytest.raises(eh.errors.InputError, match="lower the learning rate"):
        adapted(device=gpu, learning_rate=1e30)


@pytest.mark.parametrize(("share", "cache"), [(1.0, True), (0.0, True), (1.0, False)])
def test_a_gpu_is_waited_for_once_an_epoch_and_not_at_each_step(gpu, monkeypatch, share, cache):
    monkeypatch.setattr(steps, "SHARE", share)  # batches kept there, or in pinned memory
    with waits() as number:
        found = []
        how = {"device": gpu, "cache": cache, "epochs": 3, "batch_size": 20}
        adapted(on_epoch=lambda _: found.append(number()), **how)
    assert found[0] > 0
    assert max(np.diff(found)) <= 5  # of 20 steps: the loss and what is told of it


def test_batches_are_kept_where_they_are_read(gpu):
    read, hollow = torch.arange(6.0).reshape(2, 3), torch.zeros(()).expand(2, 5)
    labels = torch.zeros(2, dtype=torch.long)
    step = steps.Step({"pixels": hollow, "ids": labels}, labels, labels, read, 2)
    (there,) = steps.ready([step], torch.device(gpu))
    assert {there.read.device.type, there.inputs["ids"].device.type} == {"cuda"}
    assert there.inputs["pixels"].shape == (2, 5)
    assert not any(there.inputs["pixels"].stride())
    assert there.labels.device.type == "cpu"
    copy = there.current(torch.device(gpu), torch.float32)
    assert torch.equal(copy.cpu(), read)
    copy.zero_()
    assert torch.equal(there.read.cpu(), read)
    assert steps.ready([step], torch.device("cpu")) == [step]
