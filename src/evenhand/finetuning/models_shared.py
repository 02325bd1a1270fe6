"""Several models of a run, each trained by one of the processes and given to all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from evenhand._base.arrays import FloatArray
from evenhand._base.distributed import World, raise_together
from evenhand.errors import EvenhandError

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import nn

    from evenhand.finetuning.stage import Stage
    from evenhand.models.backbone import Backbone

    Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Made:
    """A trained model and what was read by it.

    Attributes:
        backbone: the model.
        found: split to (N, D) features.
    """

    backbone: Backbone
    found: dict[str, FloatArray]


def made_by_all(
    stage: Stage, number: int, make: Callable[[int], Made], received: Callable[[], None]
) -> Iterator[Made]:
    """The models, in order, the same in every process.

    They hang on nothing of each other, so that each process trains whole ones: the result is one
    process's, and nothing is sent but what is done.

    Args:
        stage: of the untrained model; its processes all call.
        number: of models; the last is made by the first process.
        make: trains one.
        received: called for each that was made elsewhere.

    Raises:
        InputError: what any process's training refused, in all.
    """  # noqa: DOC502
    world = stage.world
    if world.size == 1:
        yield from map(make, range(number))
        return
    mine: dict[int, Made] = {}
    failure = ""
    try:
        for at in range(number):
            if _maker(at, number, world) == world.rank:
                mine[at] = make(at)
    except EvenhandError as error:
        failure = str(error)
    raise_together(failure, world)
    for at in range(number):
        one = mine.pop(at, None)
        if one is None:
            received()
        yield _sent(one, _maker(at, number, world), stage)


def _maker(at: int, number: int, world: World) -> int:
    return (number - 1 - at) % world.size


def _sent(made: Made | None, source: int, stage: Stage) -> Made:
    """What process ``source`` made, in every process."""
    world = stage.world
    given = None if made is None else _bytes_of(made.backbone)
    weights = world.broadcast(given, source)
    names = "\n".join(made.found).encode() if made else b""
    sent = None if made is None else np.frombuffer(names, dtype=np.uint8)
    splits = world.broadcast(sent, source).tobytes().decode().split("\n")
    found = {
        split: world.broadcast(None if made is None else made.found[split], source)
        for split in splits
    }
    if made is not None:
        return made
    own = stage.backbone.with_head(stage.problem.head).to(stage.backbone.device)
    _take_bytes(own, weights)
    classes = stage.problem.train.classes
    return Made(replace(stage.backbone, model=own, classes=classes, pretrained_head=True), found)


def _bytes_of(backbone: Backbone) -> Bytes:
    import torch

    state = backbone.model.state_dict().values()
    parts = [tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for tensor in state]
    found: Bytes = torch.cat(parts).numpy()
    return found


def _take_bytes(model: nn.Module, weights: Bytes) -> None:
    """Set a model's weights to those of another of the same layers."""
    import torch

    whole, at = torch.as_tensor(weights), 0
    state = {}
    for name, tensor in model.state_dict().items():
        size = tensor.numel() * tensor.element_size()
        state[name] = whole[at : at + size].clone().view(tensor.dtype).reshape(tensor.shape)
        at += size
    model.load_state_dict(state)
