"""fairret as its documentation has it: a loss added in a training loop over batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from benchmarks.measure import require
from evenhand.experiments.methods.method import Method
from evenhand.finetuning.problem import Fitted, Problem, fitted_head
from evenhand.head import Head

BATCH = 512


def fairret_loop(strengths: Sequence[float], epochs: int) -> Method:
    """Make it: a linear layer by Adam, anew for each strength."""

    def run(problem: Problem) -> Sequence[tuple[str, Fitted]]:
        require("fairret", "fairret")
        from fairret.loss import NormLoss
        from fairret.statistic import (
            FalsePositiveRate,
            StackedLinearFractionalStatistic,
            TruePositiveRate,
        )

        rows = problem.train
        x = torch.as_tensor(np.asarray(rows.features), dtype=torch.float32)
        y = torch.as_tensor(rows.labels, dtype=torch.float32)[:, None]
        group = nn.functional.one_hot(torch.as_tensor(rows.groups.codes)).float()
        both = StackedLinearFractionalStatistic(TruePositiveRate(), FalsePositiveRate())
        penalty = NormLoss(both)
        fitted = []
        for strength in strengths:
            generator = torch.Generator().manual_seed(problem.seed)
            layer = nn.Linear(x.shape[1], 1)
            with torch.no_grad():
                weight = torch.as_tensor(problem.head.weight, dtype=torch.float32)
                bias = torch.as_tensor(problem.head.bias, dtype=torch.float32)
                layer.weight.copy_((weight[:, 1] - weight[:, 0])[None])
                layer.bias.copy_((bias[1] - bias[0])[None])
            optimizer = torch.optim.Adam(layer.parameters(), 1e-2)
            for _ in range(epochs):
                for part in torch.randperm(len(x), generator=generator).split(BATCH):
                    logits = layer(x[part])
                    loss = nn.functional.binary_cross_entropy_with_logits(logits, y[part])
                    loss = loss + strength * penalty(logits, group[part], y[part])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            half = np.array([-0.5, 0.5])
            found = layer.weight.detach().double().numpy()[0], layer.bias.detach().double().numpy()
            head = Head(np.outer(found[0], half), found[1] * half)
            fitted.append((f"{strength:g}", fitted_head(head)))
        return fitted

    return run
