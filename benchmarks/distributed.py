"""Two processes against one, a thread each: extraction's speed, and whether the model is the same.

python -m benchmarks distributed
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import Options
from benchmarks.rows import Row, faster

NAME = "distributed"
FULL, SMALL = 4096, 256
PIXELS = 64


class Images:
    """Random images; a name and a fingerprint, as a cache wants."""

    name = "noise"

    def __init__(self, number: int) -> None:
        draw = np.random.default_rng(0)
        self.values = draw.random((number, 3, PIXELS, PIXELS), dtype=np.float32)
        self.fingerprint = f"{number:064d}"

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.values[index]


def run(options: Options) -> list[Row]:
    number = SMALL if options.quick else FULL
    seconds: dict[int, list[float]] = {1: [], 2: []}
    found: dict[int, list[dict[str, np.ndarray]]] = {}
    for _ in range(min(3, options.repeats)):
        for size, turns in seconds.items():
            with tempfile.TemporaryDirectory() as folder:
                _launch(Path(folder), size, number)
                ranks = [Path(folder) / f"rank{rank}.npz" for rank in range(size)]
                found[size] = [dict(np.load(path)) for path in ranks]
                turns.append(max(float(one["seconds"]) for one in found[size]))
    one, two = found[1][-1], found[2][-1]
    odds, weights = (float(np.abs(one[what] - two[what]).max()) for what in ("odds", "head"))
    what = f"features of {number:,} images of {PIXELS} px, a thread each"
    return [
        faster(NAME, f"{what}: two processes", "one process", seconds[2], seconds[1], bar=">= 1.7"),
        Row(
            NAME,
            "head cross-fitted and chosen by two processes",
            "one process's",
            odds,
            unit="largest difference of a row's log-odds",
            bar="<= 1e-6",
            note=f"Of a weight {weights:.1e}, the largest being {np.abs(one['head']).max():.2f}: "
            "features that hardly vary leave their weights open, and no decision sees it.",
        ),
    ]


def _launch(folder: Path, size: int, number: int) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    shared = os.environ | {
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "benchmarks.distributed", str(folder), str(number)]
    running = [subprocess.Popen(command, env=shared | {"RANK": str(rank)}) for rank in range(size)]
    if any([process.wait() for process in running]):
        raise RuntimeError(f"{size} processes did not come to an end together")


def work(folder: Path, number: int) -> None:
    """One process's share: extract, then cross-fit and choose a head on its stride of the rows."""
    from dataclasses import replace

    import torch
    from torch import nn

    from evenhand._base.distributed import together
    from evenhand.groups import Groups
    from evenhand.heads.selection.candidates import CandidateGrid
    from evenhand.heads.selection.fair_head import fit_fair_head
    from evenhand.heads.selection.rule import Rule
    from evenhand.models import wrap
    from evenhand.models.features import extract
    from evenhand.tasks.task import Examples

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 64), (64, 32)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * (PIXELS // 16) ** 2, 2))
    codes = np.arange(number) % 2
    inputs = Images(number)
    labels = (inputs.values[:, 0, :8].mean(axis=(1, 2)) + 0.01 * codes > 0.505).astype(np.int64)
    examples = Examples(inputs, labels, Groups(codes, ("a", "b")))
    with together() as world:
        backbone = wrap(model)
        world.wait()
        began = time.perf_counter()
        found = extract(backbone, examples, ("n", "y"), cache=folder / "cache", world=world)
        world.wait()
        seconds = time.perf_counter() - began
        rows = found.rows.with_features(found.rows.features[:, :32].astype(np.float64))
        mine = replace(rows[world.share(len(rows))], world=world)
        head = fit_fair_head(mine, Rule(), grid=CandidateGrid((0.0, 0.3, 1.0))).head
        weights = np.vstack([head.weight, head.bias])
        odds = np.diff(head.logits(rows.features))
        np.savez(folder / f"rank{world.rank}.npz", seconds=seconds, head=weights, odds=odds)


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
