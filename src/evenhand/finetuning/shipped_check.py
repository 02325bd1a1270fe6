"""The model that is shipped, run on a few rows: it must decide as reported.

Figures are counted from features and a head, which is fast. That they are the model's own holds
where nothing but a monotone step follows its head: here that is tried, not assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from evenhand._base.arrays import FloatArray, IntArray
from evenhand._base.devices import computing
from evenhand._base.torch_calls import UNRUNNABLE, call, evaluating, model_logits
from evenhand.errors import ModelError
from evenhand.finetuning.problem import Fitted
from evenhand.finetuning.stage import Stage
from evenhand.models.backbone import Backbone
from evenhand.models.features.reading import UNREADABLE
from evenhand.models.find_head import candidates, describe

ROWS = 64
"""Rows of each split: half of them those nearest to another decision, half spread evenly."""


def require_same_decisions(
    stage: Stage, model: nn.Module, fitted: Fitted, seen_by: Backbone | None = None
) -> tuple[str, ...]:
    """Compare the decisions of ``model`` with the reported ones on a batch of each split.

    Where features were computed in fewer digits than the model decides in, rows near another
    decision differ for that alone: the model's decisions are then compared with those of its own
    head on what that reads.

    Args:
        stage: brings each split's features and inputs.
        model: what is shipped, or the pre-trained one.
        fitted: what the report is counted from.
        seen_by: the backbone whose head is the model's; the stage's by default.

    Returns:
        What a reader should know: splits whose inputs cannot be read any more.

    Raises:
        ModelError: the model decides otherwise, or does not run.
    """
    notes = []
    coarse = stage.backbone.dtype in (torch.float16, torch.bfloat16)
    mixed = stage.precision != "float32"
    for split, inputs in stage.inputs.items():
        reported = np.asarray(fitted.predict(stage.queries_of(split)), dtype=np.float64)
        tolerance = _tolerance(reported, coarse=coarse or mixed)
        rows, items = _readable(inputs, _rows_to_try(reported, tolerance))
        if not items:
            notes.append(
                f"{split}: its inputs cannot be read any more, so that the fine-tuned model was "
                "not run on them"
            )
            continue
        output = _run(stage, model, items)
        expected: FloatArray = reported[rows]
        if mixed:
            expected = _by_its_head(replace(seen_by or stage.backbone, model=model), items)
            tolerance = _tolerance(expected, coarse=coarse)
        differing = _differing(output, expected, tolerance)
        if differing:
            backbone = stage.backbone
            linear = describe(backbone.model, candidates(backbone.model)[-5:])
            raise ModelError(
                f"{backbone.name} decides otherwise than its head {backbone.head!r}, from which "
                f"all is reported, on {differing} of {len(rows)} rows of {split}: what follows it "
                "changes the decision (a second head, an offset, a sign, a further layer). Name "
                f"its last layer with head= (the linear layers are {linear}), or wrap the model "
                "in a module that ends with it"
            )
    return tuple(notes)


def _tolerance(reported: FloatArray, *, coarse: bool) -> float:
    """How near two logits may be for rounding to decide between them."""
    scale = float(np.abs(reported).max(initial=1e-3))
    return (3e-2 if coarse else 1e-4) * scale


def _margins(reported: FloatArray) -> FloatArray:
    """(N,) how far each row's decision is from the next one."""
    ordered = np.sort(reported, axis=1)
    margins: FloatArray = ordered[:, -1] - ordered[:, -2]
    return margins


def _rows_to_try(reported: FloatArray, tolerance: float) -> IntArray:
    """The rows that tell most: those nearest to another decision, and some of all."""
    margins = _margins(reported)
    order = np.argsort(np.where(margins > tolerance, margins, np.inf), kind="stable")
    spread = np.linspace(0, len(reported) - 1, ROWS // 2).astype(np.int64)
    return np.unique(np.concatenate([order[: ROWS // 2], spread]))


def _readable(inputs: Sequence[Any], rows: IntArray) -> tuple[IntArray, list[Any]]:
    kept, items = [], []
    for row in rows:
        try:
            items.append(inputs[int(row)])
        except UNREADABLE:
            continue
        kept.append(row)
    return np.array(kept, dtype=np.int64), items


def _run(stage: Stage, model: nn.Module, items: list[Any]) -> Tensor:
    backbone = stage.backbone
    try:
        full = computing(next(model.parameters()).device, "float32")
        with evaluating(model), torch.inference_mode(), full:
            output = model_logits(call(model, backbone.placed(backbone.prepare(items))))
    except UNRUNNABLE as error:
        raise ModelError(
            f"{backbone.name} cannot run with a head of "
            f"{len(stage.problem.train.classes)} classes at {backbone.head!r}: {error}; something "
            "after it needs the old number: name its last layer with head=, or wrap the model in "
            "a module that ends with it"
        ) from error
    if output is None:
        raise ModelError(f"{backbone.name} returns no logits")
    return output.detach().cpu().double().reshape(len(output), -1)


def _by_its_head(backbone: Backbone, items: list[Any]) -> FloatArray:
    """(n, K) the logits of a model's own head on what it reads."""
    with computing(backbone.device, "float32"):
        features = backbone.features(items).float().cpu().numpy()
    return backbone.linear_head().logits(features)


def _differing(output: Tensor, reported: FloatArray, tolerance: float) -> int:
    """How many rows are decided otherwise, rounding apart."""
    found = output.numpy()
    clear = _margins(reported) > tolerance
    expected = reported.argmax(axis=1)
    if found.shape[1] == 1 and reported.shape[1] == 2:
        cuts = [0.0] + ([0.5] if found.min() >= 0 and found.max() <= 1 else [])
        return min(int(((found[:, 0] > cut) != expected)[clear].sum()) for cut in cuts)
    if found.shape != reported.shape:
        return len(reported)
    return int((found.argmax(axis=1) != expected)[clear].sum())
