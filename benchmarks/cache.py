"""How much faster a head trains on cached features than with the frozen backbone run every epoch.

    python benchmarks/cache.py celeba.zip --model resnet18 --weights resnet18.safetensors
    python benchmarks/cache.py celeba.zip --model efficientnet-lite0 --output cache.csv

Three times the same head is trained for the same epochs on the same faces: with the backbone run
anew for each batch of each epoch (on images decoded once, which favours it), on features that are
extracted and cached first, and on features read from that cache. The goal is a second run at least
.8 × epochs times as fast as the first way.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from evenhand import models
from evenhand.features import extract_task
from evenhand.models.base import Backbone, evaluating
from evenhand.tasks.base import Task
from evenhand.tasks.celeba import celeba

BATCH = 64
SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}


def train_head(
    width: int, classes: int, epochs: int, batches: Callable[[], Iterable[tuple[Tensor, Tensor]]]
) -> None:
    """Adam on the log-loss of a linear head, the features of each batch as they come."""
    torch.manual_seed(0)
    head = nn.Linear(width, classes)
    optimizer = torch.optim.Adam(head.parameters(), 1e-3)
    for _ in range(epochs):
        for features, labels in batches():
            loss = nn.functional.cross_entropy(head(features), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def rerun_seconds(task: Task, backbone: Backbone, epochs: int) -> float:
    """Training with a forward pass of the frozen backbone for every batch of every epoch."""
    began = time.perf_counter()
    images, labels = list(task.train.inputs), torch.as_tensor(task.train.labels)
    spans = [slice(start, start + BATCH) for start in range(0, len(images), BATCH)]
    prepared = [(backbone.prepare(images[span]), labels[span]) for span in spans]

    def batches() -> Iterable[tuple[Tensor, Tensor]]:
        for batch, wanted in prepared:
            with torch.no_grad():
                features = backbone.read(batch)
            yield features, wanted

    with evaluating(backbone.model):
        train_head(backbone.in_features, len(task.classes), epochs, batches)
    return time.perf_counter() - began


def cached_seconds(task: Task, backbone: Backbone, epochs: int, root: Path) -> float:
    """The same from the cache under ``root``, which the first call fills."""
    began = time.perf_counter()
    rows = extract_task(backbone, task, root=root, batch_size=BATCH).train
    features, labels = torch.as_tensor(np.array(rows.features)), torch.as_tensor(rows.labels)

    def batches() -> Iterable[tuple[Tensor, Tensor]]:
        return zip(features.split(BATCH), labels.split(BATCH), strict=True)

    train_head(backbone.in_features, len(task.classes), epochs, batches)
    return time.perf_counter() - began


def main() -> None:
    """Measure, print, and add a row to a CSV if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="CelebA, or a part of it, in the official layout")
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--weights", default=None)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output", type=Path, default=None, help="a CSV that gets a row")
    asked = parser.parse_args()
    task = celeba(asked.data, limit=asked.images, split=SHARES)
    backbone = models.load(asked.model, weights=asked.weights)
    with tempfile.TemporaryDirectory() as folder:
        first = cached_seconds(task, backbone, asked.epochs, Path(folder))
        second = cached_seconds(task, backbone, asked.epochs, Path(folder))
    rerun = rerun_seconds(task, backbone, asked.epochs)
    row = {
        "model": asked.model,
        "features": backbone.in_features,
        "train_images": len(task.train),
        "epochs": asked.epochs,
        "threads": torch.get_num_threads(),
        "rerun_seconds": round(rerun, 2),
        "first_run_seconds": round(first, 2),
        "second_run_seconds": round(second, 3),
        "first_run_ratio": round(rerun / first, 1),
        "second_run_ratio": round(rerun / second, 1),
        "goal": round(0.8 * asked.epochs, 1),
    }
    print("\n".join(f"{name:20} {value}" for name, value in row.items()))
    if asked.output is not None:
        new = not asked.output.exists()
        with asked.output.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


if __name__ == "__main__":
    main()
