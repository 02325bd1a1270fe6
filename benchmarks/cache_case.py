"""A small vision transformer and images of noise with a faint pattern, as every way reads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.measure import require
from evenhand.groups import Groups
from evenhand.models.backbone import Backbone
from evenhand.models.load import wrap
from evenhand.tasks.task import Examples, Task

EPOCHS = 20
HELD, JUDGED = 16, 300
SIDE = 64


@dataclass(frozen=True)
class Case:
    """A backbone, a task, for how many epochs to train, and what the heads are judged on."""

    backbone: Backbone
    task: Task
    epochs: int
    judged: Examples


def make(train: int, epochs: int, layers: int) -> Case:
    require("transformers", "transformers")
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    config = ViTConfig(
        image_size=SIDE,
        patch_size=8,
        hidden_size=192,
        num_hidden_layers=layers,
        num_attention_heads=3,
        intermediate_size=768,
        num_labels=2,
    )
    backbone = wrap(ViTForImageClassification(config).eval(), "classifier", name="small-vit")
    rng = np.random.default_rng(0)
    pattern = rng.normal(size=(3, SIDE, SIDE))

    def part(n: int) -> Examples:
        labels = rng.integers(0, 2, n)
        images = rng.normal(size=(n, 3, SIDE, SIDE)) + 0.3 * labels[:, None, None, None] * pattern
        groups = Groups(rng.integers(0, 2, n), ("a", "b"))
        return Examples(images.astype(np.float32), labels, groups)

    parts = part(train), part(HELD), part(HELD)
    task = Task("noise", ("no", "yes"), "pattern", *parts, hashlib.sha256(b"noise").hexdigest())
    return Case(backbone, task, epochs, part(JUDGED if epochs == EPOCHS else HELD))
