from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from evenhand.errors import InputError, ModelError
from evenhand.fisher.factorize import NoSavingWarning, factorize
from evenhand.fisher.hooks import group_fisher
from evenhand.fisher.lowrank import LowRankLinear, factorize_, merge_, trainable_parameters
from evenhand.fisher.neutralize import neutralize
from evenhand.head import Head, head_of, put_head_

pytestmark = pytest.mark.filterwarnings("ignore::evenhand.fisher.factorize.NoSavingWarning")


def make(bias=True):
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            body=nn.Sequential(nn.Linear(6, 9, bias=bias), nn.ReLU()),
            head=nn.Linear(9, 4, bias=bias),
        )
    )


X = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))


def test_shapes_and_parameters():
    layer = LowRankLinear(20, 10, 3)
    assert layer(torch.zeros(5, 7, 20)).shape == (5, 7, 10)
    assert trainable_parameters(layer) == 3 * (20 + 10) + 10
    assert "in_features=20, out_features=10, rank=3" in repr(layer)
    layer.down.weight.requires_grad_(False)
    assert trainable_parameters(layer) == 3 * 10 + 10


@pytest.mark.parametrize("bias", [True, False])
def test_full_rank_keeps_the_function_and_merging_too(bias):
    model = make(bias).eval()
    before = model(X)
    weights = {"head": np.linspace(0.5, 2, 9)}
    assert factorize_(model, weights, rank=4) is model
    assert isinstance(model.head, LowRankLinear)
    assert not model.head.training
    torch.testing.assert_close(model(X), before, atol=1e-6, rtol=0)
    assert merge_(model) is model
    assert type(model.head) is nn.Linear
    torch.testing.assert_close(model(X), before, atol=1e-6, rtol=0)


def test_merged_is_the_low_rank_function():
    model = factorize_(make(), rank=2)
    before = model(X)
    merge_(model)
    torch.testing.assert_close(model(X), before, atol=1e-6, rtol=0)


def test_each_layer_its_rank():
    model = make()
    factorize_(model, rank={"0": 3, "head": 0.9}, target_modules=["body.0", "head"])
    assert model.body[0].rank == 3
    assert 1 <= model.head.rank < 4
    with pytest.raises(InputError, match=r"no rank is given for 'head'; .* given for 0"):
        factorize_(make(), rank={"0": 3}, target_modules=["body.0", "head"])


def test_the_papers_verbs_in_a_row():
    model = make().eval()
    labels = torch.randint(0, 4, (50,), generator=torch.Generator().manual_seed(2))
    groups = torch.arange(50) % 2
    sums = group_fisher(model, [(X, labels, groups)], target_modules=["body.0", "head"])
    weights = neutralize(sums)
    expected = factorize(head_of(model.head), weights["head"], rank=2).head
    factorize_(model, weights, rank=2)
    found = (model.head.up.weight @ model.head.down.weight).T.detach().numpy()
    np.testing.assert_allclose(found, expected.weight, atol=1e-6)
    assert isinstance(model.body[0], LowRankLinear)


def test_centred_and_refitted():
    model = make().eval()
    before = torch.softmax(model(X), dim=1)
    factorize_(model, rank=3, centre=True)
    torch.testing.assert_close(torch.softmax(model(X), dim=1), before, atol=1e-5, rtol=0)
    refitted = make().eval()
    features = refitted.body(X)
    mean = features.mean(dim=0).detach().numpy()
    target = refitted(X).mean(dim=0)
    factorize_(refitted, rank=1, means={"head": mean})
    torch.testing.assert_close(refitted(X).mean(dim=0), target, atol=1e-5, rtol=0)


def test_weights_are_for_the_layers_named_and_no_others():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.aux = nn.ModuleDict({"head": nn.Linear(4, 4)})
            self.head = nn.Linear(4, 4)

    model = factorize_(Two(), {"head": np.ones(4)}, rank=1)
    assert isinstance(model.head, LowRankLinear)
    assert type(model.aux["head"]) is nn.Linear


def test_all_or_none_are_replaced():
    model = make()
    with pytest.raises(InputError, match=r"\[1, 4\]"):
        factorize_(model, rank=5, target_modules=["body.0", "head"])
    assert type(model.body[0]) is nn.Linear
    assert type(model.head) is nn.Linear


def test_bad_input_is_named():
    with pytest.raises(ModelError, match=r"the model itself is the linear layer"):
        factorize_(nn.Linear(3, 3), rank=1)
    with pytest.raises(ModelError, match=r"is a ReLU, not an nn.Linear"):
        factorize_(make(), rank=1, target_modules="body.1")
    with pytest.raises(InputError, match=r"2 layers need weights by path, found one array"):
        factorize_(make(), np.ones(6), rank=1, target_modules=["body.0", "head"])
    with pytest.raises(InputError, match=r"'body.0', which is not a target"):
        factorize_(make(), {"body.0": np.ones(6)}, rank=1, target_modules="head")
    with pytest.raises(ModelError, match=r"no module 'nope'"):
        factorize_(make(), {"nope": np.ones(6)}, rank=1)
    with pytest.warns(NoSavingWarning):
        factorize_(make(), rank=4)


def test_put_head_writes_what_head_of_reads():
    layer = nn.Linear(3, 2)
    head = Head(np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0]))
    put_head_(layer, head)
    np.testing.assert_array_equal(head_of(layer).weight, head.weight)
    np.testing.assert_array_equal(head_of(layer).bias, head.bias)
    assert not head_of(nn.Linear(3, 2, bias=False)).bias.any()
    with pytest.raises(ModelError, match=r"\(3, 2\) does not fit a linear layer of \(2, 2\)"):
        put_head_(nn.Linear(2, 2), head)
    with pytest.raises(ModelError, match=r"without a bias"):
        put_head_(nn.Linear(3, 2, bias=False), head)
