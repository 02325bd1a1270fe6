"""Two models have one fingerprint only where their features are the same."""

import copy
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from evenhand.models import wrap
from evenhand.models.fingerprint import body_digest


def net(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))


def quantised(seed, bits=torch.qint8):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.ao.quantization import quantize_dynamic

        model = net(seed)
        body = quantize_dynamic(nn.Sequential(model[0]), {nn.Linear}, dtype=bits)
    return nn.Sequential(body, nn.ReLU(), model[2])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [torch.qint8, torch.float16])
def test_packed_weights_count(bits):
    if bits == torch.qint8 and not torch.backends.quantized.supported_engines:
        pytest.skip("this torch quantises nothing")
    first, same, other = (wrap(quantised(seed, bits), "2").fingerprint for seed in (0, 0, 1))
    assert first == same
    assert first != other


class Holds(nn.Module):
    """A module that keeps something of any kind in its state."""

    def __init__(self, kept, persistent=True):
        super().__init__()
        self.kept, self.head = kept, nn.Linear(2, 2)
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.zero_()
        if isinstance(kept, torch.Tensor):
            del self.kept
            self.register_buffer("kept", kept, persistent=persistent)

    def get_extra_state(self):
        return (
            None
            if isinstance(self.__dict__.get("kept"), torch.Tensor)
            else self.__dict__.get("kept")
        )

    def set_extra_state(self, state):
        pass


def digest(kept, **more):
    return body_digest(Holds(kept, **more), "head", "as it is")


scales = st.floats(0.01, 1)
TENSORS = {
    "int8": lambda v, s: torch.tensor(v, dtype=torch.int8),
    "float16": lambda v, s: torch.tensor(v, dtype=torch.float16),
    "bfloat16": lambda v, s: torch.tensor(v, dtype=torch.bfloat16),
    "float64": lambda v, s: torch.tensor(v, dtype=torch.float64),
    "complex": lambda v, s: torch.tensor(v, dtype=torch.complex64),
    "boolean": lambda v, s: torch.tensor(v) > 0,
    "fp8": lambda v, s: torch.tensor(v, dtype=torch.float32).to(torch.float8_e4m3fn),
    "sparse": lambda v, s: torch.tensor(v, dtype=torch.float32).to_sparse(),
    "transposed": lambda v, s: torch.tensor([v, v], dtype=torch.float32).T,
    "container": lambda v, s: {"packed": (torch.tensor(v), [s, None, "name"])},
}


@pytest.mark.parametrize("kind", TENSORS)
@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(-8, 8), min_size=2, max_size=4), st.integers(0, 1), scales)
def test_every_kind_of_tensor_counts(kind, values, place, scale):
    changed = list(values)
    changed[place] = 9 if values[place] <= 0 else -9
    make = TENSORS[kind]
    assert digest(make(values, scale)) == digest(make(list(values), scale))
    assert digest(make(values, scale)) != digest(make(changed, scale))


def test_type_scale_and_what_is_not_saved_count():
    values = torch.arange(3)
    assert digest(values.to(torch.int8)) != digest(values.to(torch.int16))
    assert digest(values, persistent=False) != digest(values + 1, persistent=False)
    assert digest(b"packed") != digest(b"others")


class Own(nn.Module):
    """A module of somebody's own, with a value that is no weight."""

    def __init__(self, value):
        super().__init__()
        self.value, self.calls = value, 0
        self.body, self.head = nn.Linear(2, 2), nn.Linear(2, 2)
        for weight in self.parameters():
            nn.init.ones_(weight)

    def forward(self, inputs):
        self.calls += 1
        return self.head(self.body(inputs))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1.0, 2.0),
        (True, False),
        ("mean", "first"),
        (None, 0.0),
        ((1.0, 2.0), (2.0, 1.0)),
        ([0.5], [0.25]),
        ({"scale": 1.0}, {"scale": 2.0}),
        (torch.ones(2), torch.zeros(2)),
        (np.ones(2), np.zeros(2)),
        (np.float32(1), np.float32(2)),
        (torch.float32, torch.float16),
        ([torch.ones(1)], [torch.zeros(1)]),
    ],
    ids=str,
)
def test_what_a_module_of_ones_own_keeps_beside_its_weights_counts(one, other):
    first, same, second = (
        body_digest(Own(v), "head", "") for v in (one, copy.deepcopy(one), other)
    )
    assert first == same
    assert first != second


def test_what_a_module_counts_or_holds_for_itself_does_not():
    model = Own(lambda: None)
    before = body_digest(model, "head", "")
    model(torch.ones(1, 2))
    assert body_digest(model.eval(), "head", "") == before
