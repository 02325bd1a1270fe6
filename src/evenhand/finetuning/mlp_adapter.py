"""The low-rank adapter of :mod:`evenhand.heads.adapter` on an MLP's last hidden layer."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from evenhand._base.arrays import FloatArray
from evenhand.errors import InputError, ModelError
from evenhand.finetuning.problem import Fitted, Network, Problem, Queries
from evenhand.head import Head, put_head_
from evenhand.heads.adapter import Adapter, Hidden
from evenhand.heads.head_fit import HeadFit
from evenhand.heads.selection.fair_head import HiddenRows
from evenhand.models.mlp import MLP
from evenhand.report.record import UNCONVERGED


def adapted_fit(fit: HeadFit, network: Network) -> Fitted:
    """An adapter and head that read the whole network's inputs."""

    def predict(queries: Queries) -> Any:
        if queries.inputs is None:
            raise InputError("an adapter reads the network's inputs, and there are none")
        return fit.logits(hidden_inputs_of(network, queries.inputs))

    notes = () if fit.converged else (UNCONVERGED,)
    return Fitted(predict, fit.trainable_parameters, notes=notes, gives_logits=True)


def has_hidden_layer(model: Any) -> bool:
    """Whether a model is one of evenhand's MLPs, with a hidden layer that may move."""
    return isinstance(model, MLP) and model.config["layers"] > 1


def hidden_rows(problem: Problem, rank: int = 1) -> HiddenRows:
    """The development rows as the network's last hidden layer reads them.

    Raises:
        InputError: only features are at hand, or a rank the layer cannot have.
    """

    network = network_of(problem)
    if not isinstance(network.model, MLP):
        raise InputError(
            "an adapter moves a layer of an MLP, and this head reads several depths of one"
        )
    hidden = last_hidden(network.model)
    hidden.require_rank(rank)
    inputs = np.concatenate(
        [hidden_inputs_of(network, network.train), hidden_inputs_of(network, network.valid)]
    )
    rows = problem.development.with_features(inputs)
    return HiddenRows(hidden, rows, rank)


def network_of(problem: Problem) -> Network:
    """The problem's network.

    Raises:
        InputError: only features are at hand.
    """
    if problem.network is None:
        raise InputError(
            "an adapter here needs one of evenhand's MLPs; for other models use the in-model road "
            "(docs/how-to/inside-the-model.md)"
        )
    return problem.network


def hidden_inputs_of(network: Network, inputs: Any) -> Any:
    """(N, in) what the network's last hidden layer reads for its (N, inputs) rows."""

    return hidden_inputs(network.model, inputs)


def last_hidden(model: MLP) -> Hidden:
    """The last hidden layer as arrays.

    Raises:
        ModelError: the model has no hidden layer.
    """
    layers = [module for module in model.features if isinstance(module, nn.Linear)]
    if not layers:
        raise ModelError("an MLP of one layer has no hidden layer to adapt")
    return Hidden(
        layers[-1].weight.detach().cpu().double().numpy().T.copy(),
        layers[-1].bias.detach().cpu().double().numpy().copy(),
    )


def hidden_inputs(model: MLP, inputs: FloatArray) -> FloatArray:
    """(N, in) what the last hidden layer reads for (N, inputs) rows."""
    with torch.inference_mode():
        rows = torch.as_tensor(inputs, dtype=torch.float32)
        return model.features[:-2](rows).double().numpy()


def with_parts(model: MLP, head: Head, adapter: Adapter | None = None) -> MLP:
    """A copy of ``model`` with this head, and with the adapter merged into its hidden layer."""
    changed = copy.deepcopy(model)
    put_head_(changed.head, head)
    if adapter is not None:
        layer = [module for module in changed.features if isinstance(module, nn.Linear)][-1]
        put_head_(layer, Head(adapter.merged.weight, adapter.merged.bias))
    return changed
