"""FairLoRA: low-rank factors on every layer, trained to lose as little in one group as in another.

Sukumaran et al., "FairLoRA: Unpacking Bias Mitigation in Vision Models with Fairness-Driven
Low-Rank Adaptation" (2024), on the groups instead of their classes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evenhand.errors import InputError
from evenhand.experiments.methods.logistic import known_rows
from evenhand.experiments.methods.method import Method
from evenhand.experiments.methods.retrain import retrained, train_converged
from evenhand.finetuning.problem import Fitted, Problem

if TYPE_CHECKING:
    import torch

    from evenhand.models.mlp import Penalty

RANK = 4
"""Of the factors; the layers of the paper's MLPs are ten wide."""

STRENGTHS = (0.3, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
"""As many as retraining's. On Adult the least moves nothing and from 30 on hardly any women's
income is called high: the groups' losses differ by a tenth, their variance by a hundredth of it."""


def fairlora(strengths: Sequence[float] = STRENGTHS, rank: int = RANK) -> Method:
    """A method: LoRA on the layers below the head, and the head, with the losses' variance.

    Args:
        strengths: how much the variance of the groups' mean losses weighs.
        rank: of the factors.
    """

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        from evenhand.finetuning.inmodel.lora import adapters, lora_config

        network = problem.network
        if network is None:
            raise InputError("fairlora trains the whole network, this problem has features only")
        known_rows(problem.train, "fairlora")
        settings = []
        for strength in strengths:
            model = copy.deepcopy(network.model)
            with adapters(model, lora_config(layers_below(model), rank, None), problem.seed):
                model.head.requires_grad_(True)
                penalty = loss_penalty(strength)
                train_converged(model, problem, network.train, network.valid, penalty)
                numbers = sum(each.numel() for each in model.parameters() if each.requires_grad)
            settings.append((f"strength={strength:g}", retrained(model, numbers)))
        return settings

    return run


def loss_penalty(strength: float) -> Penalty:
    """``strength`` times :func:`loss_variance`, as a penalty for ``train_mlp``."""

    def penalty(logits: torch.Tensor, labels: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        return strength * loss_variance(logits, labels, codes)

    return penalty


def loss_variance(logits: torch.Tensor, labels: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """The variance over groups of their mean cross-entropy; a soft gap of their accuracies.

    Args:
        logits: (N, K).
        labels: (N,) integers in [0, K).
        codes: (N,) group codes, -1 for unknown, which counts for nothing.

    Returns:
        A scalar that can be differentiated; 0 where there are fewer than two groups.
    """
    import torch

    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    means = [losses[codes == code].mean() for code in torch.unique(codes[codes >= 0])]
    if len(means) < 2:
        return logits.new_zeros(())
    return torch.stack(means).var(correction=0)


def layers_below(model: torch.nn.Module) -> list[str]:
    """The paths of a model's linear layers but for its head."""
    import torch

    linear = (name for name, each in model.named_modules() if isinstance(each, torch.nn.Linear))
    return [name for name in linear if name != "head"]
