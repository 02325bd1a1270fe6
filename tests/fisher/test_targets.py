from collections import OrderedDict

import pytest
from torch import nn

from evenhand.errors import ModelError
from evenhand.fisher.targets import find_targets


@pytest.fixture
def model():
    block = nn.ModuleDict({"q": nn.Linear(4, 4), "v": nn.Linear(4, 4), "norm": nn.LayerNorm(4)})
    return nn.Sequential(OrderedDict(first=block, second=nn.Linear(4, 3), act=nn.ReLU()))


def test_the_last_linear_layer_by_default(model):
    assert list(find_targets(model, None)) == ["second"]


def test_full_paths_and_their_last_parts(model):
    assert list(find_targets(model, "first.q")) == ["first.q"]
    assert list(find_targets(model, ["q", "second"])) == ["first.q", "second"]
    assert find_targets(model, "v")["first.v"] is model.first["v"]


def test_what_is_not_a_linear_layer_is_refused_by_path(model):
    with pytest.raises(ModelError, match=r"'first\.norm' is a LayerNorm, not an nn.Linear"):
        find_targets(model, "norm")
    with pytest.raises(ModelError, match=r"no module 'k'.*first\.q, first\.v, second"):
        find_targets(model, "k")
    with pytest.raises(ModelError, match=r"ReLU has no nn.Linear"):
        find_targets(nn.ReLU(), None)
