"""A model trained below its head by several processes: test_models_shared compares the results.

python trained_job.py FOLDER         (in each process; rank and size in the environment)
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

warnings.simplefilter("error")

from evenhand._base.distributed import together  # noqa: E402
from evenhand.errors import InputError  # noqa: E402
from evenhand.finetuning import train_folds  # noqa: E402
from evenhand.finetuning.request import FinetuneRequest  # noqa: E402
from evenhand.finetuning.stage import task_stage  # noqa: E402
from evenhand.finetuning.trained import with_trained  # noqa: E402
from evenhand.models import wrap  # noqa: E402
from evenhand.tasks.from_arrays import task_of  # noqa: E402


class Block(nn.Module):
    """A residual block with running means."""

    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.Tanh())

    def forward(self, rows):
        return rows + self.inner(rows)


class Net(nn.Module):
    """Two blocks and a head, its weights never trained."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 12)
        self.blocks = nn.ModuleList([Block(12) for _ in range(2)])
        self.head = nn.Linear(12, 2)

    def forward(self, rows):
        hidden = torch.tanh(self.first(rows))
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(hidden)


def split(n, seed):
    """Labels that no head on random features can tell, and groups that they hang on a little."""
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(n, 6)).astype(np.float32)
    groups = draw.choice(["F", "M"], n)
    turned = np.sin(3 * inputs[:, 0]) + inputs[:, 1] * inputs[:, 2] + 0.5 * (groups == "M")
    return inputs, (turned + 0.3 * draw.normal(size=n) > 0.2).astype(int), groups


def trained(world, which):
    """Everything that heads are fitted on, by name."""
    torch.manual_seed(0)
    backbone = wrap(Net().eval())
    parts = (split(900, 0), split(300, 1), split(500, 2))
    task = task_of(*parts, "sex", None, "task")
    stage = task_stage(task, backbone, seed=0, use_cache=False, trained=which, world=world)
    request = FinetuneRequest("table", trained=which, fresh_head=True)
    epochs = []
    found = with_trained(stage, request, request.rule(), lambda: epochs.append(1)).trained
    weights = {f"model {k}": v.numpy() for k, v in found.backbone.model.state_dict().items()}
    features = {f"features {split}": values for split, values in found.features.items()}
    without = {f"without {fold}": values for fold, values in enumerate(found.without)}
    heads = {f"head {at}": head.weight for at, head in enumerate(found.heads)}
    return {**weights, **features, **without, **heads, "epochs": np.array(len(epochs))}


def everything(world):
    train_folds.RATE = 1e-2  # never trained, the model has far to go in few steps
    found = {}
    for which in ("last-layer", "all"):
        found |= {f"{which}: {name}": value for name, value in trained(world, which).items()}
    return found


def failed(world):
    """What each process is told where the last one's training fails."""
    if world.rank == world.size - 1:
        train_folds.RATE = 1e30
    try:
        trained(world, "all")
    except InputError as error:
        return str(error)
    return "no error"


if __name__ == "__main__":
    with together() as world:
        np.savez(Path(sys.argv[1]) / f"rank{world.rank}.npz", **everything(world))
        (Path(sys.argv[1]) / f"rank{world.rank}.txt").write_text(failed(world))
