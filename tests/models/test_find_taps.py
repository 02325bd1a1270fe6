"""Taps are the ends of the two stages before the one that the head reads."""

import pytest
import torch
from torch import nn

from evenhand.models import wrap
from evenhand.models.efficientnet_lite import efficientnet_lite0
from evenhand.models.find_taps import find_taps
from evenhand.models.mlp import MLP
from evenhand.models.taps import Tap

NAMED = {
    "resnet18": ("layer3.1", "layer2.1"),
    "resnet50": ("layer3.5", "layer2.3"),
    "densenet121": ("features.transition3", "features.denseblock3"),
    "mobilenet_v2": ("features.17", "features.16"),
    "efficientnet_b0": ("features.7", "features.6"),
    "convnext_tiny": ("features.5", "features.3"),  # the stages' ends, not their first blocks
    "swin_t": ("features.5", "features.3"),
}


def stacked(inputs):
    return torch.stack(list(inputs))


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def traced(model, size=64, most=2):
    backbone = wrap(model.eval(), prepare=stacked)
    return find_taps(backbone, list(torch.randn(2, 3, size, size)), most)


@pytest.mark.parametrize("name", NAMED)
def test_of_torchvision(torchvision, name):
    own, taps = traced(torchvision.models.get_model(name, weights=None))
    assert tuple(tap.path for tap in taps) == NAMED[name]
    assert {tap.side for tap in taps} == {"output"}
    assert own.pooling == "row"
    last = "mean" if name == "swin_t" else "mean over space"  # Swin's channels come last
    assert {tap.pooling for tap in taps} == {last}


def test_a_transformer_s_are_its_layers(torchvision):
    model = torchvision.models.VisionTransformer(32, 8, 4, 2, 16, 32, num_classes=3)
    own, taps = traced(model, 32)
    layer = "encoder.layers.encoder_layer_"
    assert [tap.path for tap in taps] == [f"{layer}2", f"{layer}1"]
    assert [tap.width for tap in taps] == [16, 16]
    assert own.width == 16


def test_lite0_has_no_block_of_the_head_s_width():
    _, taps = traced(efficientnet_lite0(5))
    assert [(tap.path, tap.width) for tap in taps] == [("_blocks.15", 320), ("_blocks.14", 192)]


def test_fewer_are_the_nearest(torchvision):
    model = torchvision.models.resnet18(weights=None)
    assert [tap.path for tap in traced(model, most=1)[1]] == ["layer3.1"]
    assert traced(model, most=0)[1] == ()


def test_a_head_that_is_a_convolution_reads_the_mean_over_space(torchvision):
    class Squeezed(nn.Module):
        def __init__(self):
            super().__init__()
            self.stages = nn.Sequential(
                nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU()),
                nn.Sequential(nn.Conv2d(4, 6, 3, 2), nn.ReLU()),
            )
            self.head = nn.Conv2d(6, 2, 1)

        def forward(self, images):
            return self.head(self.stages(images)).mean((2, 3))

    own, taps = traced(Squeezed(), 32)
    assert own == Tap("head", "input", "mean over space", 6)
    assert taps == (Tap("stages.0", "output", "mean over space", 4),)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (1, ()),
        (2, (Tap("features.hidden1", "input", "row", 7, raw=True),)),
        (3, (Tap("features.hidden2", "input", "row", 10),)),
    ],
)
def test_an_mlp_s_is_what_its_last_hidden_layer_reads(layers, expected):
    backbone = wrap(MLP(7, 2, layers=layers))
    assert find_taps(backbone, torch.randn(3, 7).numpy())[1] == expected


def test_blocks_within_blocks_are_looked_at_where_the_outer_ones_end_nothing():
    body = nn.Sequential(
        nn.Sequential(nn.Sequential(nn.Linear(5, 8), nn.ReLU()), nn.Sequential(nn.Linear(8, 6)))
    )
    backbone = wrap(nn.Sequential(body, nn.Linear(6, 2)))
    assert [tap.path for tap in find_taps(backbone, torch.randn(3, 5).numpy())[1]] == ["0.0.0"]


def test_what_runs_twice_or_not_at_all_is_no_tap():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(3))
            self.head = nn.Linear(4, 2)

        def forward(self, rows):
            rows = self.blocks[0](rows)
            for _ in range(2):
                rows = self.blocks[1](rows)
            return self.head(rows)

    taps = find_taps(wrap(Odd()), torch.randn(3, 4).numpy())[1]
    assert "blocks.1" not in {tap.path for tap in taps}
    assert "blocks.2" not in {tap.path for tap in taps}
