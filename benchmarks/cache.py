"""Fine-tuning a head for T epochs: features cached once, or the frozen backbone run every epoch.

The model is a small vision transformer of transformers' with random weights, made here, so nothing
is downloaded; the images are noise with a faint pattern that tells the class. Every way reads the
same images, decoded before the clock starts. A first run of ours extracts train, valid and test;
the others never look at the latter two.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.cache_case import EPOCHS, Case, make
from benchmarks.cache_rival import trainer_head
from benchmarks.measure import NotInstalledError, Options, in_turns
from benchmarks.memory import peak_megabytes
from benchmarks.rows import Row, faster
from evenhand._base.torch_calls import evaluating
from evenhand.head import Head
from evenhand.heads.fit import fit_path
from evenhand.heads.selection.blocks import log_losses
from evenhand.heads.spec import HeadSpec
from evenhand.models.features import extract, extract_task
from evenhand.rows import Rows

TRAIN = 128
BATCH = 32
RIDGE = 1e-2
TURNS = 3
"""A turn of the slow ways takes half a minute or so."""


def train_head(
    width: int, epochs: int, batches: Callable[[], Iterable[tuple[Tensor, Tensor]]]
) -> Head:
    """Adam on the log-loss of a linear head, the features of each batch as they come."""
    torch.manual_seed(0)
    layer = nn.Linear(width, 2)
    optimizer = torch.optim.Adam(layer.parameters(), 1e-2)
    for _ in range(epochs):
        for features, labels in batches():
            loss = nn.functional.cross_entropy(layer(features), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    weight, bias = (one.detach().double().numpy() for one in (layer.weight, layer.bias))
    return Head(weight.T.copy(), bias)


def rerun(case: Case) -> Head:
    """A forward pass of the frozen backbone for every batch of every epoch."""
    images = torch.from_numpy(case.task.train.inputs).split(BATCH)
    labels = torch.from_numpy(case.task.train.labels).split(BATCH)

    def batches() -> Iterable[tuple[Tensor, Tensor]]:
        for batch, wanted in zip(images, labels, strict=True):
            with torch.inference_mode():
                features = case.backbone.read(batch)
            yield features.clone(), wanted

    with evaluating(case.backbone.model):
        return train_head(case.backbone.in_features, case.epochs, batches)


def cached(case: Case, root: Path) -> Head:
    """The same training from the cache under ``root``, which the first call fills."""
    rows = extract_task(case.backbone, case.task, root=root, batch_size=BATCH).train
    features = torch.from_numpy(np.array(rows.features)).split(BATCH)
    labels = torch.from_numpy(rows.labels).split(BATCH)
    return train_head(
        case.backbone.in_features, case.epochs, lambda: zip(features, labels, strict=True)
    )


def solved(case: Case, root: Path) -> Head:
    """evenhand's own way: the cache, then the solver to convergence."""
    rows = extract_task(case.backbone, case.task, root=root, batch_size=BATCH).train
    return fit_path(rows, HeadSpec(ridge=RIDGE))[0].head


def first_run(case: Case) -> Head:
    with tempfile.TemporaryDirectory() as folder:
        return solved(case, Path(folder))


def run(options: Options) -> list[Row]:
    size = (64, 3, 2) if options.quick else (TRAIN, EPOCHS, 4)
    epochs = size[1]
    what = f"a head on {size[0]} images, {epochs} epochs"
    try:
        case = make(*size)
        trainer_head(make(BATCH, 1, 1))
    except NotInstalledError as missing:
        return [Row("cache", what, "transformers", note=f"skipped: {missing}")]
    with tempfile.TemporaryDirectory() as folder:
        heads = {"cached": cached(case, Path(folder)), "solved": solved(case, Path(folder))}
        seconds = in_turns(
            {
                "first": lambda: _fresh(cached, case),
                "second": lambda: cached(case, Path(folder)),
                "solved first": lambda: first_run(case),
                "solved second": lambda: solved(case, Path(folder)),
                "rerun": lambda: heads.update(rerun=rerun(case)),
                "trainer": lambda: heads.update(trainer=trainer_head(case)),
            },
            1 if options.quick else min(options.repeats, TURNS),
            warm=False,
        )
    judged = extract(case.backbone, case.judged, case.task.classes).rows
    memory = None if options.quick else _peaks(size)
    quality = "; ".join(f"{name} {_quality(head, judged)}" for name, head in heads.items())
    note = f"Log-loss and accuracy on {len(judged)} other images: {quality}."
    bars = {"second": f">= {0.8 * epochs:g}", "solved first": ">= 10"}
    rows = []
    for ours, theirs, name, against in (
        ("first", "rerun", "first run, caching", "the backbone every epoch"),
        ("second", "rerun", "second run, cached", "the backbone every epoch"),
        ("solved first", "trainer", "first run, caching, solver", "Trainer, frozen backbone"),
        ("solved second", "trainer", "second run, cached, solver", "Trainer, frozen backbone"),
    ):
        more = {"bar": bars.get(ours, ""), "note": note}
        if memory is not None:
            more |= {"memory": memory["first_run"], "their_memory": memory[theirs]}
        rows.append(
            faster("cache", f"{what}: {name}", against, seconds[ours], seconds[theirs], **more)
        )
    return rows


def _fresh(way: Callable[[Case, Path], Head], case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        way(case, Path(folder))


def _quality(head: Head, rows: Rows) -> str:
    logits = head.logits(np.asarray(rows.features, dtype=np.float64))
    accuracy = float((logits.argmax(axis=1) == rows.labels).mean())
    return f"{log_losses(logits, rows.labels).mean():.3f}, {100 * accuracy:.0f} %"


def _peaks(size: tuple[int, int, int]) -> dict[str, float]:
    """With one epoch: more do not hold more."""
    homes = {
        "first_run": "benchmarks.cache:first_run",
        "rerun": "benchmarks.cache:rerun",
        "trainer": "benchmarks.cache_rival:trainer_head",
    }
    once, small = (size[0], 1, size[2]), (BATCH, 1, 1)
    return {
        name: peak_megabytes("benchmarks.cache_case:make", home, once, small)
        for name, home in homes.items()
    }
