"""The paper's multilayer perceptrons: inputs-10-…-10-classes with ReLU (section 4.1)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from evenhand._base.arrays import FloatArray
from evenhand._base.threads import one_thread
from evenhand.head import Head
from evenhand.tasks.task import Examples

HIDDEN = 10


class MLP(nn.Module):
    """An MLP with ``layers`` linear layers; ``head`` is the last, ``features`` all before it.

    Args:
        inputs: how many numbers a row has.
        classes: how many classes the head tells apart.
        layers: linear layers, the head included (the paper's MLP-2 to MLP-5).
        hidden: the width of every hidden layer.
    """

    def __init__(self, inputs: int, classes: int, *, layers: int = 2, hidden: int = HIDDEN) -> None:
        super().__init__()
        stages: list[tuple[str, nn.Module]] = []
        width = inputs
        for index in range(1, layers):
            stages += [(f"hidden{index}", nn.Linear(width, hidden)), (f"relu{index}", nn.ReLU())]
            width = hidden
        self.features = nn.Sequential(OrderedDict(stages))
        self.head = nn.Linear(width, classes)
        self.config = {"inputs": inputs, "classes": classes, "layers": layers, "hidden": hidden}

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(N, inputs) to logits (N, classes)."""
        logits: torch.Tensor = self.head(self.features(rows))
        return logits


Penalty = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""What may be added to the cross-entropy: of logits (N, K), labels (N,) and group codes (N,)."""


@dataclass(frozen=True)
class Budget:
    """How long an MLP is trained, and in which steps.

    Attributes:
        learning_rate: of Adam.
        batch: rows a step.
        epochs: at most.
        patience: epochs without a lower validation loss after which it stops.
    """

    learning_rate: float = 3e-3
    batch: int = 256
    epochs: int = 60
    patience: int = 8


def train_mlp(
    model: nn.Module,
    train: Examples,
    valid: Examples,
    *,
    seed: int,
    penalty: Penalty | None = None,
    budget: Budget | None = None,
    on_epoch: Callable[[int], None] | None = None,
) -> nn.Module:
    """Train ``model`` in place by Adam until the validation loss has stopped falling.

    Args:
        model: reads (N, inputs), returns logits (N, K).
        train, valid: what it is fitted on, and what tells when to stop.
        seed: of the order of the rows.
        penalty: added to the cross-entropy, in training and in the stopping rule.
        budget: for how long; the best epoch's weights are kept.
        on_epoch: called with the epoch's number, for a progress bar.

    Returns:
        The same model, with the weights of its best epoch, in eval mode.
    """
    how = budget or Budget()
    tensors = {
        name: (
            torch.as_tensor(np.asarray(part.inputs), dtype=torch.float32),
            torch.as_tensor(part.labels),
            torch.as_tensor(part.groups.codes),
        )
        for name, part in {"train": train, "valid": valid}.items()
    }

    def loss(rows: torch.Tensor, labels: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        logits = model(rows)
        value = nn.functional.cross_entropy(logits, labels)
        return value if penalty is None else value + penalty(logits, labels, codes)

    generator = torch.Generator().manual_seed(seed)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trainable, lr=how.learning_rate)
    best, best_state, waited = float("inf"), _state(model), 0
    with one_thread():
        for epoch in range(how.epochs):
            model.train()
            order = torch.randperm(len(train), generator=generator)
            for rows in order.split(how.batch):
                optimiser.zero_grad(set_to_none=True)
                loss(*(tensor[rows] for tensor in tensors["train"])).backward()
                optimiser.step()
            model.eval()
            with torch.no_grad():
                now = float(loss(*tensors["valid"]))
            if on_epoch:
                on_epoch(epoch)
            if now < best - 1e-5:
                best, best_state, waited = now, _state(model), 0
            else:
                waited += 1
                if waited >= how.patience:
                    break
    model.load_state_dict(best_state)
    return model.eval()


def _state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def pretrain_mlp(
    pretrain: Examples,
    valid: Examples,
    classes: int,
    *,
    seed: int,
    layers: int = 2,
    hidden: int = HIDDEN,
    penalty: Penalty | None = None,
    on_epoch: Callable[[int], None] | None = None,
) -> MLP:
    """A new MLP trained on ``pretrain`` and stopped on ``valid``, as the paper's one such split."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MLP(np.asarray(pretrain.inputs).shape[1], classes, layers=layers, hidden=hidden)
    train_mlp(model, pretrain, valid, seed=seed, penalty=penalty, on_epoch=on_epoch)
    return model


def mlp_features(model: MLP, inputs: FloatArray) -> FloatArray:
    """(N, hidden) the inputs of the head for (N, inputs) rows."""
    with torch.inference_mode():
        return model.features(torch.as_tensor(inputs, dtype=torch.float32)).double().numpy()


def mlp_head(model: MLP) -> Head:
    """The model's head as arrays."""
    return Head(
        model.head.weight.detach().cpu().double().numpy().T.copy(),
        model.head.bias.detach().cpu().double().numpy().copy(),
    )
