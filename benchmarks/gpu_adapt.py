"""Training one transformer layer against a bare loop: a part of ``gpu``."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.gpu_device import NAME, NO_GPU, device_of, done, share
from benchmarks.measure import Options, require
from benchmarks.rows import Row

FULL = {"rows": 6_400, "tokens": 128, "batch": 128, "hidden": 768, "heads": 12, "layers": 4}
SMALL = {"rows": 320, "tokens": 8, "batch": 32, "hidden": 32, "heads": 2, "layers": 2}
EPOCHS, WORDS, RATE, BAR = 5, 1_000, 1e-4, ">= 70"


def rows_of_training(options: Options) -> list[Row]:
    """The share of a bare loop's speed that ``adapt`` has, step by step.

    What is done once, before and after the steps, is not in it, nor is the first epoch.
    """
    sizes = SMALL if options.quick else FULL
    what = (
        f"adapt: one layer of {sizes['hidden']} with the penalty, {sizes['batch']} rows of "
        f"{sizes['tokens']} tokens a step, in bfloat16"
    )
    against = "a bare loop on the same layer's ready inputs"
    device = device_of(options)
    if device is None:
        return [Row(NAME, what, against, bar=BAR, note=NO_GPU)]
    require("transformers", "transformers")
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(options.repeats):
        ours.append(_adapt(sizes, device))
        theirs.append(_bare(sizes, device))
    return [share(what, against, ours, theirs, BAR, options)]


def _bert(sizes: dict[str, int]) -> Any:
    """A BERT of random weights."""
    import transformers

    config = transformers.BertConfig(
        vocab_size=WORDS,
        hidden_size=sizes["hidden"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=4 * sizes["hidden"],
        max_position_embeddings=sizes["tokens"],
        num_labels=2,
    )
    torch.manual_seed(0)
    return transformers.BertForSequenceClassification(config).eval()


def _tokens(rows: Any) -> dict[str, Tensor]:
    """Texts of equal length: no position is padding, and none needs a mask."""
    return {"input_ids": torch.as_tensor(np.asarray(rows))}


def _adapt(sizes: dict[str, int], device: str) -> float:
    """Seconds of all epochs but the first."""
    import evenhand as eh

    draw = np.random.default_rng(0)
    number = sizes["rows"]
    texts = draw.integers(1, WORDS, (number, sizes["tokens"]))
    labels, groups = (texts[:, 0] > WORDS // 2).astype(int), draw.choice(["F", "M"], number)
    ends: list[float] = []
    eh.adapt(
        eh.models.wrap(_bert(sizes), "classifier", prepare=_tokens),
        (texts, labels, groups),
        target_modules=[f"bert.encoder.layer.{sizes['layers'] - 1}"],
        rank=None,
        ridge=1e-3,
        epochs=EPOCHS,
        batch_size=sizes["batch"],
        learning_rate=RATE,
        device=device,
        precision="bfloat16",
        on_epoch=lambda _: ends.append(time.perf_counter()),
    )
    return ends[-1] - ends[0]


def _bare(sizes: dict[str, int], device: str) -> float:
    """Seconds of as many steps of a loop that knows no cut, no group and no penalty."""
    model = _bert(sizes).to(device)
    layer, pooler, head = model.bert.encoder.layer[-1], model.bert.pooler, model.classifier
    model.requires_grad_(False)
    moved = [*layer.requires_grad_(True).parameters(), *head.requires_grad_(True).parameters()]
    optimizer = torch.optim.AdamW(moved, lr=RATE)
    steps = sizes["rows"] // sizes["batch"]
    shape = sizes["batch"], sizes["tokens"], sizes["hidden"]
    read = [torch.randn(shape, device=device) for _ in range(min(steps, 8))]
    labels = torch.randint(0, 2, (sizes["batch"],), device=device)

    def epoch() -> None:
        for step in range(steps):
            with torch.autocast(device, torch.bfloat16):
                hidden = layer(read[step % len(read)])
                hidden = hidden if isinstance(hidden, Tensor) else hidden[0]
                logits = head(pooler(hidden))
            loss = nn.functional.cross_entropy(logits.float(), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        done(device)

    epoch()
    began = time.perf_counter()
    for _ in range(EPOCHS - 1):
        epoch()
    return time.perf_counter() - began
