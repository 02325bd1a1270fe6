"""A head that reads several depths of a frozen model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from evenhand._base.arrays import FloatArray
from evenhand.errors import ModelError
from evenhand.models.backbone import Backbone
from evenhand.models.find_taps import DEEPEST, find_taps
from evenhand.models.taps import Tap, read_taps, watched

READOUT = "readout"
"""The path of the linear layer."""


class DeepReadout(nn.Module):
    """A model with one linear layer that reads its head's input and activations before that.

    ``logits = ([own, tap_1, tap_2, …] - centre) * scale @ W + b``. The model runs as it always
    does, in one pass; hooks that are there during the pass only catch what flows at the taps, each
    pooled to one row an example. Its own head is run and not read.

    Args:
        model: returns anything; its weights are kept, and may be trained.
        own: the input of its head.
        taps: further places, in the order in which they are read.
        classes: k of the linear layer, which starts at zero.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> deep = eh.models.deepened(eh.models.wrap(net), [[0.1, 0.2, 0.3, 0.4]] * 2)
        >>> deep.model
        DeepReadout(
          reads input of 2 + input of 0: 12 numbers
          (model): Sequential(
            (0): Linear(in_features=4, out_features=8, bias=True)
            (1): ReLU()
            (2): Linear(in_features=8, out_features=2, bias=True)
          )
          (readout): Linear(in_features=12, out_features=2, bias=True)
        )
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, model: nn.Module, own: Tap, taps: Sequence[Tap], classes: int) -> None:
        super().__init__()
        self.model, self.own, self.taps = model, own, tuple(taps)
        like = next(model.parameters())
        options: dict[str, Any] = {"device": like.device, "dtype": like.dtype}
        self.readout = skip_init(nn.Linear, self.width, classes, **options)
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)
        self.register_buffer("centre", torch.zeros(self.width, **options))
        self.register_buffer("scale", torch.ones(self.width, **options))
        self.training = model.training
        self.readout.train(model.training)

    @property
    def width(self) -> int:
        """Numbers the linear layer reads."""
        return self.own.width + sum(tap.width for tap in self.taps)

    def forward(self, *args: Any, **named: Any) -> Tensor:
        """What the model takes to logits (B, k)."""
        logits: Tensor = self.readout(self.read(*args, **named))
        return logits

    def read(self, *args: Any, **named: Any) -> Tensor:
        """(B, width) what the linear layer reads, for what the model takes."""
        places = (self.own, *self.taps)
        with watched(self.model, [(tap.path, tap.side) for tap in places]) as seen:
            self.model(*args, **named)
        rows = torch.cat(read_taps(seen, places, named), dim=1)
        return (rows - self.centre) * self.scale

    @property
    def places(self) -> str:
        """Which places are read, in the order of the columns."""
        return " + ".join(map(str, (self.own, *self.taps)))

    def extra_repr(self) -> str:
        """What the linear layer reads."""
        return f"reads {self.places}: {self.width} numbers"

    def plain(self) -> dict[str, Any]:
        """What :meth:`around` needs to make the module again, in JSON's types."""
        return {
            "own": asdict(self.own),
            "taps": [asdict(tap) for tap in self.taps],
            "classes": self.readout.out_features,
        }

    @classmethod
    def around(cls, model: nn.Module, plain: dict[str, Any]) -> DeepReadout:
        """The module around ``model`` that :meth:`plain` described, its numbers yet to be loaded.

        Raises:
            KeyError, TypeError: it described none.
        """  # noqa: DOC502
        taps = [Tap(**one) for one in plain["taps"]]
        return cls(model, Tap(**plain["own"]), taps, int(plain["classes"]))


def deepened(backbone: Backbone, inputs: Sequence[Any], most: int = DEEPEST) -> Backbone | None:
    """The backbone whose head reads the stages before it too, nothing scaled; None without any.

    Args:
        backbone: the model; it is not changed, and its weights are shared.
        inputs: a few raw inputs to trace it on.
        most: stages to read beside the head's own input.

    Raises:
        ModelError: the model does not run on the inputs.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> backbone = eh.models.wrap(net)
        >>> deep = eh.models.deepened(backbone, [[0.1, 0.2, 0.3, 0.4]] * 2)
        >>> backbone.in_features, deep.in_features  # eight, and the four inputs
        (8, 12)
    """  # noqa: DOC502
    if isinstance(backbone.model, DeepReadout):
        return None
    own, taps = find_taps(backbone, inputs, most)
    if not taps:
        return None
    model = DeepReadout(backbone.model, own, taps, backbone.number_of_classes)
    return replace(backbone, model=model, head=READOUT, guessed=False)


def scaled(backbone: Backbone, centre: FloatArray, scale: FloatArray) -> Backbone:
    """A deep backbone whose linear layer reads ``(features - centre) * scale``.

    Raises:
        ModelError: the backbone is not deep.
    """
    old = backbone.model
    if not isinstance(old, DeepReadout):
        raise ModelError(f"{backbone.name} reads its own features alone: there is nothing to scale")
    new = DeepReadout(old.model, old.own, old.taps, old.readout.out_features)
    new.centre.copy_(torch.as_tensor(centre))
    new.scale.copy_(torch.as_tensor(scale))
    return replace(backbone, model=new)
