"""Where models run: found, or refused by name."""

from contextlib import suppress

import pytest
import torch

from evenhand._base.devices import computing, device_of, precision_of
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


@pytest.mark.parametrize("rounds", [True, False])
def test_float32_is_so_to_its_last_digit_and_settings_are_given_back(monkeypatch, rounds):
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "allow_tf32", rounds)
    gpu, processor = torch.device("cuda"), torch.device("cpu")
    with computing(processor, "float32"):
        assert cudnn.allow_tf32 is rounds
    with computing(gpu, "float32"):
        assert cudnn.allow_tf32 is False
    with suppress(KeyError), computing(gpu, "float32"):
        raise KeyError
    assert cudnn.allow_tf32 is rounds
    with computing(processor, "bfloat16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.skipif(
    not hasattr(torch.backends.cudnn, "conv"), reason="this torch has the older settings alone"
)
def test_settings_by_torchs_newer_names_are_the_users_own():
    conv = torch.backends.cudnn.conv
    before = conv.fp32_precision
    try:
        conv.fp32_precision = "ieee"
        with computing(torch.device("cuda"), "float32"):
            assert conv.fp32_precision == "ieee"
        assert conv.fp32_precision == "ieee"
    finally:
        conv.fp32_precision = before


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
