"""Finding the head of any module."""

import pytest
from torch import nn

from evenhand.errors import ModelError
from evenhand.models.find_head import find_head


class Net(nn.Module):
    def __init__(self, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet18", "fc"),
        ("resnet50", "fc"),
        ("densenet121", "classifier"),
        ("efficientnet_b0", "classifier.1"),
        ("mobilenet_v2", "classifier.1"),
        ("vit_b_16", "heads.head"),
        ("convnext_tiny", "classifier.2"),
    ],
)
def test_torchvision_models(torchvision, name, head):
    model = torchvision.models.get_model(name, weights=None)
    assert find_head(model) == head


def test_the_last_linear_layer_of_a_chain():
    assert find_head(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))) == "2"
    assert find_head(Net(one=nn.Linear(8, 8), two=nn.Linear(8, 2))) == "two"


def test_a_1x1_convolution_where_there_is_no_linear_layer():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 5, 1), nn.AdaptiveAvgPool2d(1))
    assert find_head(model) == "1"


def test_layers_side_by_side_are_ambiguous_and_listed():
    model = Net(trunk=nn.Linear(4, 16), age=nn.Linear(16, 9), race=nn.Linear(16, 7))
    with pytest.raises(ModelError, match=r"age \(16 -> 9\), race \(16 -> 7\); name the one"):
        find_head(model)
    assert find_head(model, "age") == "age"


def test_a_usual_name_settles_it():
    model = Net(trunk=nn.Linear(4, 16), classifier=nn.Linear(16, 9), aux=nn.Linear(16, 7))
    assert find_head(model) == "classifier"


def test_a_container_stands_for_its_one_linear_layer():
    model = Net(head=nn.Sequential(nn.Dropout(), nn.Linear(4, 2)), tail=nn.Linear(2, 2))
    assert find_head(model, "head") == "head.1"


def test_mistakes_are_named():
    with pytest.raises(ModelError, match=r"no nn\.Linear and no 1×1 convolution"):
        find_head(nn.Sequential(nn.ReLU()))
    model = Net(body=nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), fc=nn.Linear(4, 2))
    with pytest.raises(ModelError, match=r"no module 'fcc'; did you mean 'fc'"):
        find_head(model, "fcc")
    with pytest.raises(ModelError, match=r"'body' is a Sequential, .*body\.0 \(4 -> 4\), body\.1"):
        find_head(model, "body")
