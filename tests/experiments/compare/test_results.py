"""What a comparison leaves out by default, and runs once it is named."""

import pickle
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import torch
from torch import nn

from evenhand._base.events import Telling
from evenhand.errors import MissingExtraError
from evenhand.experiments.compare import results, run
from evenhand.experiments.compare.as_run import _coinciding
from evenhand.experiments.compare.request import CompareRequest
from evenhand.experiments.compare.results import cell_path, is_kept, read_cell, run_seed
from evenhand.experiments.methods.registry import METHODS, Entry, resolve
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.stage import task_stage
from evenhand.groups import Groups
from evenhand.metrics.counts import Counts
from evenhand.models import wrap
from evenhand.report.record import Record
from evenhand.report.setting import Setting
from evenhand.tasks.task import Examples, Task

NAMES = ["transfer", "svd"]


class TinyRecipe:
    """Rows of numbers through a tiny module."""

    def stage(self, seed):
        rng = np.random.default_rng(seed)

        def part(number):
            x = rng.normal(size=(number, 6)).astype(np.float32)
            labels = (x[:, 0] + rng.normal(size=number) > 0).astype(int)
            return Examples(x, labels, Groups(rng.integers(0, 2, number), ("a", "b"), "team"))

        task = Task(
            name="tiny",
            classes=("no", "yes"),
            label="y",
            train=part(200),
            valid=part(60),
            test=part(60),
            fingerprint="",
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 2))
        return task_stage(task, wrap(model), seed=seed, use_cache=False)


def test_a_method_too_slow_for_the_width_waits_until_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "svd", replace(METHODS["svd"], widest=9))
    run_seed(TinyRecipe(), 0, NAMES, [], tmp_path, named=False)
    cell = read_cell(cell_path(tmp_path, 0, "svd"))
    assert cell.too_wide
    assert not cell.records
    assert cell.skipped == (
        "d = 10: above 9 features it takes minutes; name it with --methods to run it"
    )
    assert read_cell(cell_path(tmp_path, 0, "transfer")).records
    assert is_kept(tmp_path, 0, "svd", named=False)
    assert not is_kept(tmp_path, 0, "svd", named=True)

    run_seed(TinyRecipe(), 0, NAMES, [], tmp_path, named=True)
    assert read_cell(cell_path(tmp_path, 0, "svd")).records
    assert is_kept(tmp_path, 0, "svd", named=True)


def test_a_method_whose_package_was_missing_runs_once_it_is_there(tmp_path, monkeypatch):
    def missing():
        raise MissingExtraError("pytest", "baselines", "svd")

    def absent(name):
        raise PackageNotFoundError(name)

    with monkeypatch.context() as patch:
        patch.setattr(Entry, "load", lambda self: lambda problem: missing())
        patch.setattr(results, "version", absent)
        run_seed(TinyRecipe(), 0, ["svd"], [], tmp_path, named=True)
        assert is_kept(tmp_path, 0, "svd", named=True)
    cell = read_cell(cell_path(tmp_path, 0, "svd"))
    assert (cell.records, cell.missing) == ((), "pytest")
    assert "svd needs pytest, which is not installed" in cell.skipped
    assert not is_kept(tmp_path, 0, "svd", named=True)
    run_seed(TinyRecipe(), 0, ["svd"], [], tmp_path, named=True)
    assert read_cell(cell_path(tmp_path, 0, "svd")).records
    assert is_kept(tmp_path, 0, "svd", named=True)


def test_an_error_of_a_missing_package_goes_from_process_to_process():
    error = MissingExtraError("fairret", "baselines", "a method")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.package) == (str(error), "fairret")


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("named", [False, True])
def test_side_by_side_seeds_leave_out_what_one_at_a_time_does(tmp_path, monkeypatch, jobs, named):
    monkeypatch.setitem(METHODS, "svd", replace(METHODS["svd"], widest=9))
    monkeypatch.setattr(run, "spread", lambda job, many, **_: [job(*one) for one in many])
    monkeypatch.setattr(TinyRecipe, "extract", lambda self, seed: None, raising=False)
    asked = CompareRequest(FinetuneRequest(), (0, 1), tuple(NAMES) if named else None)
    monkeypatch.setattr(CompareRequest, "names", NAMES)
    run._run(TinyRecipe(), asked, tmp_path, jobs, Telling("compare"))
    cells = [read_cell(cell_path(tmp_path, seed, "svd")) for seed in (0, 1)]
    assert [cell.too_wide for cell in cells] == [not named] * 2


@pytest.mark.parametrize("entry", resolve(), ids=lambda entry: entry.name)
def test_evenhands_own_methods_run_at_any_width(entry):
    own = entry.extra is None
    assert not own or entry.widest is None
    assert entry.too_wide(10) is None
    assert (entry.too_wide(512) is None) == (entry.widest is None)


def test_label_and_group_that_nearly_coincide_are_told_with_the_gaps_that_matter():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 900)
    labels = np.where(rng.random(900) < 0.9, group, 1 - group)
    guess = np.where(rng.random(900) < 0.8, labels, group)
    counts = Counts.of(labels, guess, Groups(group, ("a", "b"), "team"), ("no", "yes"))
    first, second = _coinciding(Record("t", "transfer", Setting("dense"), 0, counts, 1, 0.0), None)
    assert "label and team nearly coincide (correlation 0.8" in first
    rates = [(guess[(labels == 0) & (group == g)] == 1).mean() for g in (0, 1)]
    assert second == (
        f"the gap of the false-positive rates is {rates[1] - rates[0]:.3f} for transfer learning"
    )
    even = Counts.of(rng.permutation(labels), guess, Groups(group, ("a", "b")), ("no", "yes"))
    assert not _coinciding(Record("t", "transfer", Setting("dense"), 0, even, 1, 0.0), None)
