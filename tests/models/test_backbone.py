"""What the head reads, whatever the model."""

import numpy as np
import pytest
import torch
from torch import nn

from evenhand._base.torch_calls import call
from evenhand.errors import InputError, ModelError
from evenhand.head import Head
from evenhand.models import wrap

B, D, K = 6, 8, 3


def rows(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).numpy()


class Pooling(nn.Module):
    """Tokens (B, T, 5) to logits, the head applied to every position."""

    def __init__(self, pool):
        super().__init__()
        self.body, self.score, self.pool = nn.Linear(5, D), nn.Linear(D, K), pool

    def forward(self, x):
        return self.pool(self.score(torch.tanh(self.body(x))))


class Wrapped(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.body, self.fc, self.form = nn.Linear(5, D), nn.Linear(D, K), form

    def forward(self, x):
        return self.form(self.fc(torch.relu(self.body(x))))


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize(
    "form",
    [
        lambda z: z,
        lambda z: z.softmax(-1),
        lambda z: z.log_softmax(-1),
        lambda z: (z, "more"),
        lambda z: {"logits": z},
    ],
)
def test_the_features_give_the_models_own_logits(form):
    model = Wrapped(form)
    backbone = wrap(model)
    x = rows(B, 5)
    features = backbone.features(list(x))
    expected = torch.relu(model.body(torch.as_tensor(x)))
    assert torch.allclose(features, expected)
    assert torch.allclose(backbone.apply_head(features), model.fc(expected))
    head = backbone.linear_head()
    assert np.allclose(
        head.logits(features.double().numpy()), model.fc(expected).detach(), atol=1e-6
    )


@pytest.mark.parametrize(
    "pool",
    [lambda z: z[:, -1], lambda z: z[:, 0], lambda z: z.mean(1)],
)
def test_positions_are_pooled_as_the_model_does(pool):
    model = Pooling(pool)
    backbone = wrap(model)
    features = backbone.features(list(rows(B, 7, 5)))
    assert features.shape == (B, D)
    assert torch.allclose(
        backbone.apply_head(features), model(torch.as_tensor(rows(B, 7, 5))), atol=1e-5
    )


def test_a_pooling_that_is_not_linear_is_refused():
    model = Pooling(lambda z: z.max(1).values)
    with pytest.raises(ModelError, match=r"several positions, shape \(6, 7, 8\)"):
        wrap(model).features(list(rows(B, 7, 5)))


@pytest.mark.parametrize("after", [nn.AdaptiveAvgPool2d(1), nn.Identity()])
def test_1x1_convolution_heads(after):
    side = 1 if isinstance(after, nn.Identity) else 4
    model = nn.Sequential(nn.Conv2d(3, D, 1), nn.ReLU(), nn.Conv2d(D, K, 1), after, nn.Flatten())
    backbone = wrap(model)
    x = rows(B, 3, side, side)
    features = backbone.features(list(x))
    assert features.shape == (B, D)
    assert torch.allclose(backbone.apply_head(features), model(torch.as_tensor(x)), atol=1e-5)


class Two(nn.Module):
    """Two layers side by side, the sum of which is what it returns."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(5, D), nn.Sequential(nn.Linear(5, D), nn.Tanh())

    def forward(self, x):
        return self.left(x) + self.right(x)


def test_a_guessed_head_that_is_not_the_last_step_is_refused():
    with pytest.raises(
        ModelError, match=r"outputs of Two are not those of 'right\.0'.*name its head"
    ):
        wrap(Two()).features(list(rows(B, 5)))
    assert wrap(Two(), head="left").features(list(rows(B, 5))).shape == (B, 5)


def test_a_head_that_does_not_run_or_runs_twice_is_named():
    model = Wrapped(lambda z: z)
    model.idle = nn.Linear(D, 9)
    with pytest.raises(ModelError, match="head 'idle' of Wrapped does not run"):
        wrap(model, "idle").features(list(rows(B, 5)))
    model = Wrapped(lambda z: z)
    model.form = lambda z: z + model.fc(torch.zeros(D))
    with pytest.raises(ModelError, match="runs 2 times"):
        wrap(model, "fc").features(list(rows(B, 5)))


def test_training_flags_and_gradients_are_given_back():
    model = nn.Sequential(nn.Linear(5, D), nn.BatchNorm1d(D), nn.Dropout(), nn.Linear(D, K))
    model.train()
    model[1].eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    features = wrap(model).features(list(rows(B, 5)))
    assert [m.training for m in model] == [True, False, True, True]
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not features.requires_grad
    assert torch.is_grad_enabled()
    assert not model[3]._forward_pre_hooks


def test_the_fingerprint_follows_all_but_the_head():
    model = Wrapped(lambda z: z)
    before = wrap(model).fingerprint
    with torch.no_grad():
        model.fc.weight.add_(1)
    assert wrap(model).fingerprint == before
    assert wrap(model, prepare=lambda x: x).fingerprint != before
    with torch.no_grad():
        model.body.weight[0, 0] += 1e-3
    assert wrap(model).fingerprint != before
    norm = nn.Sequential(nn.LayerNorm(5, eps=1e-5), nn.Linear(5, 2))
    other = nn.Sequential(nn.LayerNorm(5, eps=1e-2), nn.Linear(5, 2))
    assert wrap(norm).fingerprint != wrap(other).fingerprint


def test_a_new_head_goes_into_a_copy_of_the_same_class():
    model = Wrapped(lambda z: z)
    backbone = wrap(model)
    head = Head(np.random.default_rng(0).normal(size=(D, 5)), np.arange(5.0))
    new = backbone.with_head(head)
    x = torch.as_tensor(rows(B, 5))
    features = backbone.features(list(rows(B, 5))).double().numpy()
    assert type(new) is type(model)
    assert np.allclose(new(x).detach(), head.logits(features), atol=1e-5)
    assert model.fc.out_features == K
    with pytest.raises(ModelError, match="reads 8 features, the new one 4"):
        backbone.with_head(Head(np.zeros((4, 2)), np.zeros(2)))


def test_a_new_head_for_a_convolution_and_for_a_head_without_bias():
    model = nn.Sequential(nn.Conv2d(D, K, 1, bias=False), nn.Flatten())
    backbone = wrap(model)
    assert backbone.linear_head().bias.tolist() == [0, 0, 0]
    head = Head(np.ones((D, 2)), np.array([1.0, 2.0]))
    x = torch.as_tensor(rows(B, D, 1, 1))
    expected = head.logits(x.flatten(1).numpy())
    assert np.allclose(backbone.with_head(head)(x).detach(), expected, atol=1e-5)


def test_batches_may_be_mappings_or_tuples():
    def add(a, b):
        return a + b

    assert call(add, {"a": 1, "b": 2}) == 3
    assert call(add, (1, 2)) == 3


def test_inputs_the_model_cannot_read_are_named():
    backbone = wrap(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))
    with pytest.raises(ModelError, match=r"cannot run on a batch of shape \(2, 5\): RuntimeError"):
        backbone.features(np.zeros((2, 5)))
    with pytest.raises(InputError, match=r"1 of 3 inputs of a batch hold .* beyond float32's"):
        backbone.features(np.array([[0.0] * 4, [1e39] * 4, [1.0] * 4]))
    for ragged in ([[1.0] * 4, [1.0] * 3], [["a"] * 4], [{}] * 2):
        with pytest.raises(InputError, match="differ in length or hold something that is no numb"):
            backbone.features(ragged)
