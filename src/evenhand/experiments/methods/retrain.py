"""Retraining with a penalty on the gap, the whole network or its head (the paper's baselines)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.experiments.methods.logistic import known_rows
from evenhand.experiments.methods.method import Method
from evenhand.finetuning.problem import Fitted, Problem, Queries, fitted_head
from evenhand.head import Head

if TYPE_CHECKING:
    import torch

    from evenhand.models.mlp import Penalty


STRENGTHS = (0.1, 0.2, 0.35, 0.5, 0.9, 1.5, 2.5, 4.0)
"""Those of the paper's Fig. 4 and Table 3 (.1, .5, .9) and as many as a path of heads may choose
from: three alone make the network look .05 to .1 points worse than it is (METHOD 6.3)."""


BATCH, EPOCHS, PATIENCE = 1024, 200, 20
"""Batches large enough to hold every cell, and a budget that ends at convergence: twice the
learning rate, a quarter of the batch or half the patience change no gap by more than its noise."""


def retrain(criterion: Criterion | str, strengths: Sequence[float] = STRENGTHS) -> Method:
    """Make Retrain+EO or Retrain+DP: fine-tune a copy of the whole network with the penalty.

    Cross-entropy + strength · soft gap (``soft_gap``), Adam on minibatches until the same loss on
    the valid rows stops falling (paper, section 4.1).

    Args:
        criterion: whose gap is penalised.
        strengths: how much it weighs.
    """
    criterion = Criterion.parse(criterion)

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        network = problem.network
        if network is None:
            raise InputError(
                f"retrain-{criterion.abbreviation} trains the whole network, this problem has "
                f"features only: use retrain-head-{criterion.abbreviation}"
            )
        known_rows(problem.train, f"retrain-{criterion.abbreviation}")
        settings = []
        for strength in strengths:
            model = copy.deepcopy(network.model)
            penalty = gap_penalty(criterion, strength)
            train_converged(model, problem, network.train, network.valid, penalty)
            numbers = sum(each.numel() for each in model.parameters() if each.requires_grad)
            settings.append((f"strength={strength:g}", retrained(model, numbers)))
        return settings

    return run


def retrain_head(criterion: Criterion | str, strengths: Sequence[float] = STRENGTHS) -> Method:
    """Make the same for the head alone, on the problem's features.

    Args:
        criterion: whose gap is penalised.
        strengths: how much it weighs.
    """
    criterion = Criterion.parse(criterion)

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        import torch

        known_rows(problem.train, f"retrain-head-{criterion.abbreviation}")
        train, valid = (np.asarray(part.features) for part in (problem.train, problem.valid))
        settings = []
        for strength in strengths:
            model = torch.nn.Linear(problem.head.in_features, problem.head.out_features)
            with torch.no_grad():
                model.weight.copy_(torch.from_numpy(np.ascontiguousarray(problem.head.weight.T)))
                model.bias.copy_(torch.from_numpy(problem.head.bias))
            train_converged(model, problem, train, valid, gap_penalty(criterion, strength))
            head = Head(
                model.weight.detach().double().numpy().T.copy(),
                model.bias.detach().double().numpy().copy(),
            )
            settings.append((f"strength={strength:g}", fitted_head(head)))
        return settings

    return run


def soft_gap(
    logits: torch.Tensor, labels: torch.Tensor, codes: torch.Tensor, criterion: Criterion | str
) -> torch.Tensor:
    """The gap with mean probabilities in place of rates, averaged over pairs of groups.

    For two groups and two classes: |ΔTPR| + |ΔFPR| (equalized odds), |ΔTPR| (equal opportunity)
    or the difference of selection rates (demographic parity). More classes: the mean over each
    class against the rest. Rows of unknown group and pairs with an empty cell count for nothing.

    Args:
        logits: (N, K).
        labels: (N,) integers in [0, K).
        codes: (N,) group codes, -1 for unknown.
        criterion: whose gap.

    Returns:
        A scalar that can be differentiated; 0 where no pair has both cells.
    """
    import torch

    criterion = Criterion.parse(criterion)
    probabilities = logits.softmax(dim=1)
    binary = logits.shape[1] == 2
    groups = torch.unique(codes[codes >= 0])
    member = (codes[:, None] == groups).to(logits.dtype)
    own = torch.nn.functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    if criterion is Criterion.DEMOGRAPHIC_PARITY:
        cells = [torch.ones_like(own)]
    elif criterion is Criterion.EQUAL_OPPORTUNITY:
        cells = [own]
    else:
        cells = [own, 1 - own]
    total = logits.new_zeros(())
    upper = torch.triu_indices(len(groups), len(groups), offset=1)
    for cell in cells:
        rows = member.T @ cell
        rate = member.T @ (cell * probabilities) / rows.clamp(min=1)
        apart = (rate[upper[0]] - rate[upper[1]]).abs()
        defined = (rows[upper[0]] > 0) & (rows[upper[1]] > 0)
        chosen = slice(1, 2) if binary else slice(None)
        apart, defined = apart[:, chosen], defined[:, chosen]
        if defined.any():
            total = total + apart[defined].mean()
    return total


def gap_penalty(criterion: Criterion | str, strength: float) -> Penalty:
    """``strength`` times the soft gap, as a penalty for ``train_mlp`` or ``pretrain_mlp``."""

    def penalty(logits: torch.Tensor, labels: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        return strength * soft_gap(logits, labels, codes, criterion)

    return penalty


def train_converged(
    model: Any,
    problem: Problem,
    train: npt.NDArray[Any],
    valid: npt.NDArray[Any],
    penalty: Penalty,
) -> None:
    """Train what is free to move in ``model``, in place, with a penalty and a budget that ends it.

    Args:
        model: reads ``train`` and ``valid``.
        problem: whose labels and groups they have.
        train, valid: (N, inputs).
        penalty: added to the cross-entropy.
    """
    from evenhand.models.mlp import Budget, train_mlp
    from evenhand.tasks.task import Examples

    train_mlp(
        model,
        Examples(train, problem.train.labels, problem.train.groups),
        Examples(valid, problem.valid.labels, problem.valid.groups),
        seed=problem.seed,
        penalty=penalty,
        budget=Budget(batch=BATCH, epochs=EPOCHS, patience=PATIENCE),
    )


def retrained(model: Any, numbers: int) -> Fitted:
    """A network that reads the rows' inputs as a ``Fitted`` of so many trained numbers."""

    def predict(queries: Queries) -> npt.NDArray[np.floating[Any]]:
        import torch

        if queries.inputs is None:
            raise InputError("a retrained network reads the raw inputs of the rows, found none")
        with torch.inference_mode():
            logits = model(torch.as_tensor(np.asarray(queries.inputs), dtype=torch.float32))
        result: npt.NDArray[np.floating[Any]] = logits.double().numpy()
        return result

    return Fitted(predict, numbers, gives_logits=True)
