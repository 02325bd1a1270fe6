"""Where models run: found, or refused by name."""

import pytest
import torch

from evenhand._base.devices import device_of, precision_of
from evenhand.errors import InputError


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_without_a_gpu(no_gpu):
    assert device_of(None) is None
    assert device_of("auto") == device_of("cpu") == torch.device("cpu")
    assert precision_of("auto", torch.device("cpu")) == "float32"
    assert precision_of("bfloat16", torch.device("cpu")) == "bfloat16"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("cuda", "finds 0 CUDA devices; give auto or cpu"),
        ("cuda:3", "device 'cuda:3' is not here"),
        ("mps", "device 'mps' is not here"),
        ("gpu", "no device 'gpu': give auto, cpu, cuda, cuda:N or mps"),
        ("", "no device"),
        (["cpu"], "no device"),
    ],
)
def test_what_is_not_here_is_named(no_gpu, asked, message):
    with pytest.raises(InputError, match=message):
        device_of(asked)


@pytest.mark.parametrize(("rank", "device"), [("0", "cuda:0"), ("1", "cuda:1"), ("3", "cuda:1")])
def test_each_process_of_a_machine_takes_its_own_gpu(two_gpus, monkeypatch, rank, device):
    monkeypatch.setenv("LOCAL_RANK", rank)
    assert device_of("auto") == device_of("cuda") == torch.device(device)
    assert device_of("cuda:0") == torch.device("cuda:0")
    assert precision_of("auto", torch.device(device)) == "bfloat16"


def test_a_gpu_too_many(two_gpus):
    with pytest.raises(InputError, match="finds 2 CUDA devices"):
        device_of("cuda:2")


@pytest.mark.cuda
def test_auto_is_the_gpu_where_there_is_one():
    device = device_of("auto")
    assert device.type == "cuda"
    assert torch.ones(2, device=device).sum() == 2
    able = torch.cuda.is_bf16_supported()
    assert precision_of("auto", device) == ("bfloat16" if able else "float32")


def test_no_such_precision():
    with pytest.raises(InputError, match="no precision 'half': give one of auto, float32"):
        precision_of("half", None)
