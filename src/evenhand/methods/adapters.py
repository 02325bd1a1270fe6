"""The head together with a low-rank adapter on the last hidden layer, evened out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.even import ADAPTER_BETA, ADAPTER_RIDGE, HiddenRows
from evenhand.gaps import gap_terms
from evenhand.methods.base import Fitted, Method, Network, Problem, Queries
from evenhand.record import UNCONVERGED
from evenhand.solver import HeadFit, fit_path

STRENGTHS = (0.1, 0.3, 1.0, 3.0)


def adapted(
    criterion: str | Criterion, strengths: Sequence[float] = STRENGTHS, rank: int = 1
) -> Method:
    """A method: adapter and head with the soft-gap penalty, along a path of strengths.

    Args:
        criterion: what to even out.
        strengths: of the penalty.
        rank: of the adapter.
    """

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        hidden = hidden_rows(problem, rank)
        rows = hidden.rows[: len(problem.train)]
        terms = gap_terms(rows.labels, rows.groups, rows.classes, criterion, beta=ADAPTER_BETA)
        fits = fit_path(
            rows,
            (0.0, *strengths),
            terms,
            ridge=max(problem.ridge, ADAPTER_RIDGE),
            start=problem.head,
            rank=rank,
            hidden=hidden.layer,
            seed=problem.seed,
        )
        network = network_of(problem)
        return [(f"{fit.strength:g}", adapted_fit(fit, network)) for fit in fits[1:]]

    return run


def adapted_fit(fit: HeadFit, network: Network) -> Fitted:
    """An adapter and head that read the whole network's inputs."""

    def predict(queries: Queries) -> Any:
        if queries.inputs is None:
            raise InputError("an adapter reads the network's inputs, and there are none")
        return fit.logits(hidden_inputs_of(network, queries.inputs))

    notes = () if fit.converged else (UNCONVERGED,)
    return Fitted(predict, fit.trainable_parameters, notes=notes, extra={"logits": True})


def hidden_rows(problem: Problem, rank: int) -> HiddenRows:
    """The development rows as the network's last hidden layer reads them.

    Raises:
        InputError: only features are at hand, or a rank the layer cannot have.
    """
    from evenhand.models.mlp import last_hidden

    network = network_of(problem)
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
    from evenhand.models.mlp import hidden_inputs

    return hidden_inputs(network.model, inputs)
