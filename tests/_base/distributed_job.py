"""What several processes do together, and one alone: test_distributed compares the results.

python distributed_job.py FOLDER         (in each process; rank and size in the environment)
"""

import sys
import warnings
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

warnings.simplefilter("error")

from evenhand._base.distributed import ALONE, together  # noqa: E402
from evenhand.errors import InputError  # noqa: E402
from evenhand.finetuning.inmodel.adapt import adapt  # noqa: E402
from evenhand.fisher.factorize import factorize  # noqa: E402
from evenhand.fisher.head_fisher import head_fisher  # noqa: E402
from evenhand.groups import Groups  # noqa: E402
from evenhand.head import Head  # noqa: E402
from evenhand.heads.fit import fit_path  # noqa: E402
from evenhand.heads.gaps import gap_terms  # noqa: E402
from evenhand.heads.selection.candidates import CandidateGrid  # noqa: E402
from evenhand.heads.selection.crossfit import crossfit  # noqa: E402
from evenhand.heads.selection.fair_head import fit_fair_head  # noqa: E402
from evenhand.heads.selection.ridge import choose_ridge  # noqa: E402
from evenhand.heads.selection.rule import Bound, Rule  # noqa: E402
from evenhand.heads.spec import FitControl, HeadSpec  # noqa: E402
from evenhand.heads.streaming import placing  # noqa: E402
from evenhand.models import wrap  # noqa: E402
from evenhand.models.features import extract, extract_task  # noqa: E402
from evenhand.rows import Rows  # noqa: E402
from evenhand.tasks.inputs import View  # noqa: E402
from evenhand.tasks.task import Examples, Task  # noqa: E402

CLASSES = ("no", "yes")


def made(classes=2, d=6, n=1500, groups=3):
    rng = np.random.default_rng(3)
    codes = rng.choice(groups, n, p=[0.5, 0.4, 0.1])
    x = rng.normal(size=(n, d))
    x[:, 0] += codes
    labels = (x @ rng.normal(size=(d, classes)) + rng.gumbel(size=(n, classes))).argmax(axis=1)
    codes[:40] = -1
    names = tuple("abcd"[:classes])
    return Rows(x, labels, Groups(codes, ("f", "m", "x"), "sex"), names)


def uneven(rows, world):
    """The third group and a few more with the first process, nothing with the third."""
    if world.size == 1:
        return rows
    mine = (rows.groups.codes == 2) | (np.arange(len(rows)) < 100)
    return [rows[mine], rows[~mine], rows[:0]][world.rank]


def strided(rows, world):
    return rows[world.share(len(rows))]


def fits(world):
    found = {}
    for classes in (2, 3):
        for deal in (uneven, strided):
            rows = replace(deal(made(classes), world), world=world)
            terms = gap_terms(rows.labels, rows.groups, rows.classes, "eo", world=world)
            weights = 0.5 + (rows.features[:, 1] > 0)
            path = fit_path(rows, HeadSpec(1e-2), (0.0, 0.5, 4.0), terms, weights=weights)
            for fit in path:
                name = f"fit {classes} {deal.__name__} {fit.strength}"
                found[name] = np.vstack([fit.head.weight, fit.head.bias])
                assert fit.converged
    rows = replace(strided(made(3), world), world=world)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = factorize(Head(np.eye(6)[:, :3], np.zeros(3)), rank=2).head
    low = fit_path(rows, HeadSpec(1e-2, rank=2), control=FitControl(start))[0].head
    assert low.factors is not None
    return found | {"low rank": low.weight - low.weight.mean(axis=1, keepdims=True)}


def fits_on_devices(world):
    """Some processes' rows on a device, which torch's processor stands for, and others' not."""
    device = "cpu" if world.rank == 1 else "cuda"
    rows = replace(strided(made(), world), world=world, device=device)
    terms = gap_terms(rows.labels, rows.groups, rows.classes, "eo", world=world)
    places = {"cpu": None, "cuda": torch.device("cpu")}
    with patch.object(placing, "device_for", lambda rows: places[rows.device]):
        path = fit_path(rows, HeadSpec(1e-2), (0.0, 4.0), terms)
        grid = CandidateGrid((0.0, 1.0))
        found = crossfit(rows, HeadSpec(1e-2), "eo", grid=grid)
    if world.size > 1:
        assert {fit.where for fit in (*path, *found.fits)} == {"" if device == "cpu" else "cpu"}
    heads = {f"there {fit.strength}": fit.head.weight for fit in path}
    return heads | {"counts there": found.tables[:, 12]}


def crossfits(world):
    rows = replace(strided(made(), world), world=world)
    ridge = choose_ridge(rows)
    grid = CandidateGrid((0.0, 1.0))
    found = crossfit(rows, HeadSpec(ridge), "eo", grid=grid)
    old = fit_path(made()[:200], HeadSpec(ridge=0.1))[0].head
    fair = fit_fair_head(rows, Rule((Bound("eo", 0.3),)), old=old, grid=grid)
    return {
        "ridge": np.array(ridge),
        "counts": found.tables[:, 12],
        "unknown": found.unknown[:, 12],
        "log loss": found.log_loss,
        "evened": np.vstack([fair.head.weight, fair.head.bias]),
        "evened error": np.array(fair.choice.error),
    }


def sums(world):
    head = fit_path(made(), HeadSpec(ridge=0.1))[0].head
    rows = uneven(made(), world)
    fisher = world.merge(head_fisher(rows, head, diagonal=True, kronecker=True))
    groups = Groups.from_values(np.array(["f", "m", "x"])[rows.groups.codes]).across(world)
    return {
        "importance": fisher.importance,
        "diagonal": fisher.diagonal,
        "kronecker": fisher.kronecker.input_factor,
        "unknown rows": np.array(fisher.unknown),
        "group sizes": world.sum(groups.sizes),
    }


def refusals(world):
    """The words of errors that one process alone has cause for."""
    said = []
    bad = uneven(made(), world)
    if world.rank == (1 if world.size > 1 else 0):
        bad.features[-3] = np.nan
    for rows in (bad, uneven(made(), world)[:0]):
        try:
            fit_path(replace(rows, world=world), HeadSpec(0.1))
        except InputError as error:
            said.append(str(error))
    return {"refusals": np.array("|".join(said))}


class Inputs:
    name = "inputs"

    def __init__(self, bad=()):
        self.values = np.random.default_rng(0).normal(size=(70, 4)).astype(np.float32)
        self.bad, self.fingerprint = set(bad), "f" * 64

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        if index in self.bad:
            raise OSError(f"file {index} is broken")
        return self.values[index]


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))


def extractions(world, folder):
    codes = np.arange(70) % 2
    inputs = Inputs(bad=[9])
    order = np.random.default_rng(1).permutation(70)
    parts = {
        name: Examples(View(inputs, rows), codes[rows], Groups(codes[rows], ("a", "b")))
        for name, rows in zip(("train", "valid", "test"), np.split(order, [40, 50]), strict=True)
    }
    task = Task("t", CLASSES, "y", fingerprint="0", **parts)
    found = {}
    roots = {"shared": folder / "shared", "own": folder / f"own{world.rank}"}
    for name, root in roots.items():
        for again in (0, 1):
            seen = extract_task(wrap(network()), task, root=root, world=world)
            found[f"{name} {again}"] = np.array(seen.train.features)
            found[f"{name} {again} computed"] = np.array(seen.computed)
            assert sum(len(rows) for rows in seen.splits.values()) == 69
    kept = extract(wrap(network()), parts["test"], CLASSES, world=world)
    found["no cache"] = np.array(kept.rows.features)
    found["no cache kept"] = kept.kept
    try:
        broken = Examples(Inputs(bad=range(8)), codes, Groups(codes, ("a", "b")))
        extract(wrap(network()), broken, CLASSES, world=world, cache=folder / f"bad{world.size}")
    except InputError as error:
        found["refused"] = np.array("allowed" in str(error))
    return found


def adapted(world):
    """Each process is called with all rows, and works on its part of every batch."""
    rows = made(d=4)
    inputs = rows.features.astype(np.float32)
    known = [None if code < 0 else rows.groups.names[code] for code in rows.groups.codes]
    epochs = []
    model = adapt(
        network(),
        (inputs, rows.labels, known),
        target_modules=["0"],
        rank=None,
        epochs=2,
        batch_size=100,
        accumulate=2,
        learning_rate=1e-2,
        on_epoch=epochs.append,
        world=world,
    )
    found = {f"adapted {name}": value.numpy() for name, value in model.state_dict().items()}
    assert not np.allclose(found["adapted 0.weight"], network()[0].weight.detach())
    return found | {"adapted losses": np.array([(one.log_loss, one.gap) for one in epochs])}


def everything(world, folder):
    found = (
        fits(world)
        | fits_on_devices(world)
        | crossfits(world)
        | sums(world)
        | refusals(world)
        | adapted(world)
    )
    return found | extractions(world, folder)


def main():
    folder = Path(sys.argv[1])
    with together() as world:
        np.savez(folder / f"rank{world.rank}.npz", **everything(world, folder))


if __name__ == "__main__":
    assert ALONE.first
    main()
