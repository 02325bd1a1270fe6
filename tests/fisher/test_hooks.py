"""The hook form inside a model against the closed form and per-sample loops."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from evenhand.errors import InputError, ModelError
from evenhand.fisher.head_fisher import head_fisher
from evenhand.fisher.hooks import group_fisher


def batches(rows, size, names=False):
    values = rows.groups.codes
    if names:
        values = np.array([(*rows.groups.names, None)[c] for c in values], dtype=object)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        yield (
            torch.tensor(rows.features[part]),
            torch.tensor(rows.labels[part]),
            list(values[part]) if names else torch.tensor(values[part]),
        )


def linear_of(head):
    layer = nn.Linear(head.in_features, head.out_features).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(head.weight.T))
        layer.bias.copy_(torch.tensor(head.bias))
    return layer


@pytest.mark.parametrize("kind", ["empirical", "true"])
@pytest.mark.parametrize("size", [1, 7, 500])
def test_the_hook_form_is_the_closed_form(trained, kind, size):
    rows, head = trained(n=130, groups=3, classes=3, unknown=0.1)
    model = nn.Sequential(nn.Identity(), linear_of(head))
    found = group_fisher(model, batches(rows, size), kind=kind, diagonal=True)["1"]
    closed = head_fisher(rows, head, kind=kind, diagonal=True)
    np.testing.assert_allclose(found.row_sums, closed.row_sums, atol=1e-10)
    np.testing.assert_allclose(found.diagonal_sums, closed.diagonal_sums, atol=1e-10)
    assert found.counts.tolist() == closed.counts.tolist()
    assert found.unknown == closed.unknown == (rows.groups.codes == -1).sum()
    assert found.kind == kind


def test_groups_may_be_strings_and_missing(trained):
    rows, head = trained(n=80, groups=2, unknown=0.2)
    model = nn.Sequential(linear_of(head))
    coded = group_fisher(model, batches(rows, 16))["0"]
    named = group_fisher(model, batches(rows, 16, names=True))["0"]
    assert coded.group_names == ("0", "1")
    assert named.group_names == ("g0", "g1")
    assert named.unknown == coded.unknown > 0
    np.testing.assert_array_equal(named.row_sums, coded.row_sums)


def per_sample(model, target, inputs, labels):
    """Each sample's gradient of the target's weight, (N, in, out), one backward pass a sample."""
    gradients = []
    for i in range(len(labels)):
        loss = nn.functional.cross_entropy(model(inputs[i : i + 1]), labels[i : i + 1])
        gradients.append(torch.autograd.grad(loss, target.weight)[0].T)
    return torch.stack(gradients)


class Tokens(nn.Module):
    """Two linear layers on each position, the mean over positions, a head."""

    def __init__(self, inplace=False):
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.act = nn.ReLU(inplace=inplace)
        self.second = nn.Linear(6, 5)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.drop(torch.tanh(self.second(self.act(self.first(x))))).mean(dim=1))


@pytest.fixture
def tokens():
    torch.manual_seed(0)
    x = torch.randn(40, 7, 4, dtype=torch.float64)
    y = torch.randint(0, 3, (40,))
    groups = torch.randint(-1, 2, (40,))
    return x, y, groups


def trained_tokens(x, y, inplace=False):
    torch.manual_seed(1)
    model = Tokens(inplace).double().eval()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return model


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_several_layers_and_sequences_in_one_pass(tokens, inplace, frozen):
    x, y, groups = tokens
    model = trained_tokens(x, y, inplace)
    expected = {
        name: per_sample(model, model.get_submodule(name), x, y) ** 2
        for name in ("first", "second", "head")
    }
    model.zero_grad()
    model.requires_grad_(not frozen).train()
    model.drop.eval()
    before = {name: module.training for name, module in model.named_modules()}
    found = group_fisher(
        model,
        [(x[:9], y[:9], groups[:9]), (x[9:], y[9:], groups[9:])],
        target_modules=["second", "first", "head"],
        diagonal=True,
    )
    assert set(found) == {"first", "second", "head"}
    for name, squares in expected.items():
        for g in range(2):
            of = groups == g
            np.testing.assert_allclose(
                found[name].diagonal[g], squares[of].mean(dim=0).numpy(), atol=1e-13
            )
            np.testing.assert_allclose(
                found[name].importance[g], squares[of].sum(dim=2).mean(dim=0).numpy(), atol=1e-13
            )
        assert found[name].unknown == int((groups == -1).sum())
    assert {name: module.training for name, module in model.named_modules()} == before
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_more_than_one_axis_of_positions_is_one_sum(tokens):
    x, y, groups = tokens
    model = trained_tokens(x, y)

    class Grid(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, grid):
            middle = self.inner.act(self.inner.first(grid)).flatten(1, 2)
            return self.inner.head(torch.tanh(self.inner.second(middle)).mean(dim=1))

    grid = torch.cat([x, x[:, :1]], dim=1).reshape(40, 2, 4, 4)
    wide = group_fisher(Grid(), [(grid, y, groups)], target_modules="first", diagonal=True)
    flat = group_fisher(
        model, [(grid.flatten(1, 2), y, groups)], target_modules="first", diagonal=True
    )
    np.testing.assert_allclose(
        wide["inner.first"].diagonal_sums, flat["first"].diagonal_sums, atol=1e-12
    )


def test_sum_over_positions_is_inside_the_square(tokens):
    x, y, groups = tokens
    model = trained_tokens(x, y)
    found = group_fisher(model, [(x, y, groups)], target_modules="second")["second"]
    caught = {}
    handle = model.second.register_forward_hook(lambda m, a, o: caught.update(x=a[0], o=o))
    loss = nn.functional.cross_entropy(model(x), y, reduction="sum")
    handle.remove()
    g = torch.autograd.grad(loss, caught["o"])[0]
    outside = (caught["x"] ** 2).detach()[..., None] * (g**2)[..., None, :]
    outside = outside.sum(dim=(1, 3))[groups == 0].mean(dim=0).numpy()
    assert np.abs(found.importance[0] / outside - 1).min() > 0.05


def test_mappings_objects_with_logits_and_progress(trained):
    rows, head = trained(n=30)

    class Output:
        def __init__(self, logits):
            self.logits = logits

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.classifier = linear_of(head)

        def forward(self, values, scale):
            return Output(self.classifier(values * scale))

    seen = []
    batch = {
        "values": torch.tensor(rows.features / 2),
        "scale": 2.0,
        "labels": torch.tensor(rows.labels),
        "sex": rows.groups.codes.tolist(),
    }
    found = group_fisher(Model(), [batch], groups="sex", on_batch=lambda: seen.append(1))
    closed = head_fisher(rows, head)
    np.testing.assert_allclose(found["classifier"].row_sums, closed.row_sums, atol=1e-10)
    assert seen == [1]
    with pytest.raises(InputError, match=r"a batch has no 'group'; its keys are values"):
        group_fisher(Model(), [batch])


def test_layers_called_by_keyword_and_models_that_give_more_than_logits(trained):
    rows, head = trained(n=30)

    class Model(nn.Module):
        def __init__(self, end):
            super().__init__()
            self.classifier, self.end = linear_of(head), end

        def forward(self, x):
            return self.end(self.classifier(input=x))

    for end in (lambda z: (z, "more"), lambda z: {"logits": z}):
        found = group_fisher(Model(end), batches(rows, 7))
        np.testing.assert_allclose(
            found["classifier"].row_sums, head_fisher(rows, head).row_sums, atol=1e-10
        )
    with pytest.raises(ModelError, match="the model gives a list without logits"):
        group_fisher(Model(lambda z: []), batches(rows, 7))


def test_shards_merge(trained):
    rows, head = trained(n=100, groups=2, unknown=0.1)
    model = nn.Sequential(linear_of(head))
    whole = group_fisher(model, batches(rows, 10))["0"]
    parts = [group_fisher(model, batches(rows[a:b], 10))["0"] for a, b in ((0, 37), (37, 100))]
    np.testing.assert_allclose((parts[0] + parts[1]).row_sums, whole.row_sums, atol=1e-12)


def test_a_shard_without_one_of_the_groups_merges(trained):
    rows, head = trained(n=100, groups=3)
    model = nn.Sequential(linear_of(head))
    order = np.argsort(rows.groups.codes, kind="stable")
    whole = group_fisher(model, batches(rows, 10))["0"]
    first, second = (
        group_fisher(model, batches(rows[part], 10))["0"] for part in np.split(order, [40])
    )
    assert first.group_names != second.group_names
    for merged in (first + second, second + first):
        assert merged.group_names == whole.group_names
        np.testing.assert_allclose(merged.row_sums, whole.row_sums, atol=1e-12)
        assert merged.counts.tolist() == whole.counts.tolist()


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 5)
        self.idle = nn.Linear(5, 2)

    def forward(self, x):
        return self.layer(self.layer(x.float()))[:, :2]


def test_bad_input_is_named(trained):
    rows, head = trained(n=20)
    model = nn.Sequential(linear_of(head))
    x, y, g = next(batches(rows, 20))
    with pytest.raises(ModelError, match=r"'layer' runs more than once"):
        group_fisher(Twice(), [(x, y, g)], target_modules="layer")
    with pytest.raises(ModelError, match=r"'idle' did not run"):
        group_fisher(Twice(), [(x, y, g)])
    with pytest.raises(InputError, match=r"20 labels and 19 groups"):
        group_fisher(model, [(x, y, g[:19])])
    with pytest.raises(InputError, match=r"logits of shape \(20, 2\) for a batch of 18 labels"):
        group_fisher(model, [(x, y[:18], g[:18])])
    with pytest.raises(InputError, match=r"found 2 parts"):
        group_fisher(model, [(x, y)])
    with pytest.raises(InputError, match=r"0 samples"):
        group_fisher(model, [])
    with pytest.raises(InputError, match=r"NaN or infinity"):
        group_fisher(model, [(torch.full_like(x, torch.nan), y, g)])
    with pytest.raises(ModelError, match=r"not an nn.Linear"):
        group_fisher(nn.Sequential(nn.ReLU(), linear_of(head)), [(x, y, g)], target_modules="0")


def test_the_mode_is_given_back_after_an_error(trained):
    rows, head = trained(n=20)
    model = nn.Sequential(nn.Dropout(), linear_of(head)).train()
    x, y, _ = next(batches(rows, 20))
    with pytest.raises(InputError):
        group_fisher(model, [(x, y)])
    assert all(module.training for module in model.modules())


def test_one_logit_is_the_log_odds_of_two_classes():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        one = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
        x = torch.randn(20, 3, dtype=torch.float64)
    two = copy.deepcopy(one)
    two[2] = nn.Linear(4, 2).double()
    with torch.no_grad():
        two[2].weight[0], two[2].bias[0] = 0, 0
        two[2].weight[1], two[2].bias[1] = one[2].weight[0], one[2].bias[0]
    labels, groups = torch.arange(20) % 2, ["a", "b"] * 10
    for squeezed in (one, nn.Sequential(*one, nn.Flatten(0))):
        for kind in ("empirical", "true"):
            found = group_fisher(squeezed, [(x, labels, groups)], target_modules="0", kind=kind)[
                "0"
            ]
            expected = group_fisher(two, [(x, labels, groups)], target_modules="0", kind=kind)
            np.testing.assert_allclose(found.row_sums, expected["0"].row_sums, rtol=1e-10)


def test_labels_and_groups_of_a_series_are_read_by_position():
    model = nn.Linear(3, 2)
    x = torch.arange(12.0).reshape(4, 3)
    labels, groups = [0, 1, 1, 0], ["a", "b", "b", "a"]
    expected = group_fisher(model, [(x, labels, groups)])
    found = group_fisher(
        model,
        [(x, pd.Series(labels, index=[3, 2, 1, 0]), pd.Series(groups, index=[1, 1, 1, 1]))],
    )
    for name in expected:
        np.testing.assert_array_equal(found[name].row_sums, expected[name].row_sums)
    with pytest.raises(InputError, match="labels of a batch must be integers"):
        group_fisher(model, [(x, ["no", "yes", "no", "yes"], groups)])


@pytest.mark.parametrize("kind", ["empirical", "true"])
@pytest.mark.parametrize("place", ["cpu", "there", "given back"])
def test_a_gpu_gives_the_processor_s_sums(trained, gpu, kind, place):
    rows, head = trained(n=130, groups=3, classes=3, unknown=0.1)
    model = nn.Sequential(nn.Linear(5, 5).double(), linear_of(head))
    here = list(batches(rows, 40))
    there = [tuple(part.to(gpu) for part in one) for one in here] if place == "there" else here
    how = {"kind": kind, "diagonal": True, "kronecker": True, "target_modules": ["0", "1"]}
    expected = group_fisher(model, here, **how)
    if place == "given back":
        found = group_fisher(model, there, device=gpu, **how)
    else:
        found = group_fisher(model.to(gpu), there, **how)
    for name, one in expected.items():
        np.testing.assert_allclose(found[name].row_sums, one.row_sums, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(found[name].diagonal_sums, one.diagonal_sums, rtol=1e-5)
        assert found[name].counts.tolist() == one.counts.tolist()
    assert next(model.parameters()).is_cuda is (place != "given back")
