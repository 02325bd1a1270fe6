"""A backbone: a pre-trained model whose head reads the features evenhand caches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from evenhand._base.torch_calls import UNRUNNABLE, call, evaluating, shapes, to_device
from evenhand.errors import ModelError
from evenhand.head import Head
from evenhand.models.find_head import candidates, describe, head_size, is_head
from evenhand.models.fingerprint import body_digest
from evenhand.models.pooling import pool_features, reproduces

Prepare = Callable[[Sequence[Any]], Any]
"""Collate a list of raw inputs into what the model takes: a tensor, a tuple or a dict.

One that has ``each`` (an input to what is needed of it) and ``together`` (of those, the batch) is
given inputs one by one, so that no more than one large one is in memory.
"""


@dataclass(frozen=True, eq=False)
class Backbone:
    """A pre-trained model: a frozen feature extractor and a linear head.

    Attributes:
        model: the whole model.
        head: the path of its head: an ``nn.Linear`` or a 1×1 ``nn.Conv2d``.
        prepare: collates a list of raw inputs into what the model takes.
        name: what artefacts call it.
        classes: the k class names of the pre-trained head, where known.
        pretrained_head: False where the head is fresh and means nothing.
        guessed: the head was found, not named: the first batch checks that it gives the logits.
        source: how to make the same module again: the library and the name in it; {} where only
            the user can.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> backbone = eh.models.wrap(model)
        >>> backbone.features([[0.1, 0.2, 0.3, 0.4]]).shape  # what the head reads
        torch.Size([1, 8])
    """

    model: nn.Module
    head: str
    prepare: Prepare
    name: str = "model"
    classes: tuple[str, ...] | None = None
    pretrained_head: bool = True
    guessed: bool = False
    source: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_head(self.head_module):
            raise ModelError(
                f"module {self.head!r} of {self.name} is a {type(self.head_module).__name__}; "
                "a head is an nn.Linear or a 1×1 nn.Conv2d"
            )
        if 0 in head_size(self.head_module):
            raise ModelError(
                f"head {self.head!r} of {self.name} maps {self.in_features} features to "
                f"{self.out_features} logits: there must be some of both"
            )

    @property
    def head_module(self) -> nn.Module:
        """The head itself."""
        return self.model.get_submodule(self.head)

    @property
    def in_features(self) -> int:
        """How many features the head reads, d."""
        return head_size(self.head_module)[0]

    @property
    def out_features(self) -> int:
        """How many logits the head gives, k."""
        return head_size(self.head_module)[1]

    @property
    def number_of_classes(self) -> int:
        """How many classes the head tells apart: one logit is the log-odds of the second of two."""
        return max(2, self.out_features)

    @property
    def has_bias(self) -> bool:
        """Whether the head has a bias; the score heads of decoders have none."""
        return getattr(self.head_module, "bias", None) is not None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype | None:
        """The one type of the model's floating-point weights; None where there are several."""
        kinds = {p.dtype for p in self.model.parameters() if p.is_floating_point()}
        return kinds.pop() if len(kinds) == 1 else None

    def placed(self, batch: Any) -> Any:
        """A prepared batch on the model's device, its floats of the model's type."""
        return to_device(batch, self.device, self.dtype)

    @property
    def fingerprint(self) -> str:
        """sha256 of all that the features depend on: modules, weights and preparation.

        The head itself is left out: models that differ in nothing else share their features.
        """
        return body_digest(self.model, self.head, self.preparation)

    @property
    def preparation(self) -> str:
        """What ``prepare`` does, in a line: its settings, or the name of a function."""
        if is_dataclass(self.prepare):
            return repr(self.prepare)
        return str(getattr(self.prepare, "__qualname__", type(self.prepare).__qualname__))

    def features(self, inputs: Sequence[Any]) -> Tensor:
        """(B, d) what the head reads for a list of B raw inputs.

        The model runs in eval mode under ``torch.inference_mode``; its training flags are as
        before afterwards.

        Raises:
            ModelError: the model cannot run on them; its head does not run, runs twice, or is not
                what gives the logits.
        """  # noqa: DOC502
        with evaluating(self.model), torch.inference_mode():
            features = self.read(self.prepare(inputs))
        return features.clone()

    def read(self, batch: Any) -> Tensor:
        """(B, d) what the head reads for a prepared batch; the caller sets eval mode and gradients.

        Raises:
            ModelError: the model cannot run on the batch, or its head does not run once or does not
                give the model's outputs.
            OutOfMemoryError: the device's memory does not hold the batch.
        """
        seen: list[Tensor] = []
        hook = self.head_module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        try:
            batch = self.placed(batch)
            output = call(self.model, batch)
        except torch.OutOfMemoryError:
            raise  # who reads may try a smaller batch
        except UNRUNNABLE as error:
            if "ALLOC_FAILED" in str(error):  # of a GPU's own libraries, which have no such error
                raise torch.OutOfMemoryError(str(error)) from error
            raise ModelError(
                f"{self.name} cannot run on a batch of {shapes(batch)}: "
                f"{type(error).__name__}: {error}"
            ) from error
        finally:
            hook.remove()
        if len(seen) != 1:
            times = "does not run" if not seen else f"runs {len(seen)} times"
            raise ModelError(
                f"head {self.head!r} of {self.name} {times} in one forward pass; the linear layers "
                f"are {describe(self.model, candidates(self.model)[-5:])}: name another head"
            )
        read = seen[0]
        if isinstance(self.head_module, nn.Conv2d):
            read = read.movedim(1, -1)
            if read.shape[1:-1].numel() == 1:
                read = read.flatten(1)
        features = pool_features(read, self.apply_head, output, batch, head=self.head)
        if self.guessed and not reproduces(self.apply_head(features), output):
            raise ModelError(
                f"the outputs of {self.name} are not those of {self.head!r}, "
                f"its last linear layer; "
                f"name its head: {describe(self.model, candidates(self.model)[-5:])}"
            )
        return features

    def apply_head(self, features: Tensor) -> Tensor:
        """(B, k) the head's logits of (B, d) features."""
        module = self.head_module
        weight: Tensor = module.weight.flatten(1)  # type: ignore[operator]
        bias: Any = module.bias
        return nn.functional.linear(features, weight, bias)

    def linear_head(self) -> Head:
        """The head as arrays: weight (d, k) and bias (k,), float64; k = 2 for one logit."""
        module = self.head_module
        weight: Any = module.weight
        bias: Any = module.bias
        matrix = weight.detach().flatten(1).T.cpu().double().numpy().copy()
        offset = np.zeros(matrix.shape[1]) if bias is None else bias.detach().cpu().double().numpy()
        if self.out_features == 1:
            halves = np.array([[-0.5, 0.5]])
            return Head(matrix * halves, offset * halves[0])
        return Head(matrix, offset.copy())

    def as_stored(self, head: Head) -> Head:
        """The head with the numbers that the model can hold, in its own precision."""
        like: Any = self.head_module.weight
        weight, bias = (
            torch.as_tensor(values).to(like.dtype).double().numpy()
            for values in (head.weight, head.bias)
        )
        return Head(weight, bias)

    def with_head(self, head: Head, classes: Sequence[str] | None = None) -> nn.Module:
        """A copy of the model, of the same class, whose head is ``head`` (low-rank ones merged).

        The copy's head has as many classes as ``head``; where the model has one logit for two
        classes, so has the copy. A transformers configuration is told so, and told their names
        where ``classes`` gives them.

        Raises:
            ModelError: ``head`` reads another number of features.
        """
        if head.in_features != self.in_features:
            raise ModelError(
                f"the head of {self.name} reads {self.in_features} features, "
                f"the new one {head.in_features}"
            )
        weight, bias = head.weight, head.bias
        one_logit = self.out_features == 1 and head.out_features == 2
        if one_logit:
            weight, bias = weight[:, 1:] - weight[:, :1], bias[1:] - bias[:1]
        model = copy.deepcopy(self.model)
        old = model.get_submodule(self.head)
        new = fresh_head(old, len(bias))
        with torch.no_grad():
            rows = torch.as_tensor(np.ascontiguousarray(weight.T))
            new.weight.copy_(rows.reshape(new.weight.shape))  # type: ignore[operator, arg-type]
            new.bias.copy_(torch.as_tensor(bias))  # type: ignore[operator]
        if not self.has_bias and not bias.any():
            new.register_parameter("bias", None)
        set_module(model, self.head, new)
        config: Any = getattr(model, "config", None)
        if hasattr(config, "id2label"):
            if len(bias) != self.out_features:
                config.num_labels = len(bias)
                model.num_labels = len(bias)  # type: ignore[assignment]
            if classes is not None:
                named = list(map(str, classes))[-1:] if one_logit else list(map(str, classes))
                config.id2label = dict(enumerate(named))
                config.label2id = {name: index for index, name in enumerate(named)}
        return model


def fresh_head(old: nn.Module, classes: int) -> nn.Module:
    """A head like ``old`` for ``classes`` classes, all zeros (so nothing is random)."""
    inputs = head_size(old)[0]
    like: Any = old.weight
    options = {"device": like.device, "dtype": like.dtype}
    new: nn.Module
    if isinstance(old, nn.Conv2d):
        new = skip_init(nn.Conv2d, inputs, classes, kernel_size=1, **options)
    else:
        new = skip_init(nn.Linear, inputs, classes, **options)
    for parameter in new.parameters():
        nn.init.zeros_(parameter)
    return new.train(old.training)


def set_module(model: nn.Module, path: str, module: nn.Module) -> None:
    """Put ``module`` at ``path`` inside ``model``.

    Raises:
        ModelError: the path is the model itself.
    """
    parent, _, name = path.rpartition(".")
    if not name:
        raise ModelError("the head is the whole model: wrap it in an nn.Sequential to replace it")
    setattr(model.get_submodule(parent), name, module)
