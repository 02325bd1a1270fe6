"""A run whose heads are fitted on a device: the same result, and where they were is told."""

import numpy as np
import pytest
import torch
from small_runs import people
from torch import nn

import evenhand as eh
from evenhand.finetuning.stage import FITTED, task_stage
from evenhand.heads import head_fit
from evenhand.heads.streaming import device_copy, on_device, placing
from evenhand.integrations.sklearn import FairLinearHead
from evenhand.models.load import wrap
from evenhand.report.files import to_json

ASKED = {"label": "repaid", "groups": "sex", "split": "part", "drop": ["id"]}


@pytest.fixture
def a_device(monkeypatch):
    """The device "cuda" is there, and everything is many: it is the processor, by torch."""
    monkeypatch.setattr(head_fit, "IN_PASSES", 0)
    found = {"cpu": None, "cuda": torch.device("cpu")}
    monkeypatch.setattr(placing, "device_for", lambda rows: found[rows.device])


def test_a_run_there_gives_the_same_and_says_where(a_device, tmp_path):
    table = people()
    here, there = (
        eh.finetune(None, table, **ASKED, strength=1.0, device=one) for one in ("cpu", "cuda")
    )
    np.testing.assert_array_equal(there.run.after.counts.table, here.run.after.counts.table)
    one, other = here.fair_head.head.weight, there.fair_head.head.weight
    assert 0 < np.abs(one - other).max() < 1e-4 * np.abs(one).max()
    assert "heads fitted on" not in here.run.provenance
    assert there.run.provenance["heads fitted on"] == "cpu"
    there.save(tmp_path / "run")
    told = (tmp_path / "run/report.html").read_text(encoding="utf-8"), to_json(there.run)
    assert all("heads fitted on" in one for one in told)


def test_features_and_heads_on_one_device(gpu, monkeypatch):
    for module, name in ((head_fit, "IN_PASSES"), (placing, "ON_DEVICE")):
        monkeypatch.setattr(module, name, 0)
    monkeypatch.setattr(on_device, "BESIDE_BYTES", 0)
    task = eh.tasks.table(people(), **ASKED)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(len(task.train.inputs[0]), 4), nn.ReLU(), nn.Linear(4, 2))
    asked = {"precision": "float32", "strength": 1.0, "fresh_head": True}
    here, there = (eh.finetune(model, task, device=one, **asked) for one in ("cpu", gpu))
    assert there.run.provenance["heads fitted on"] == "cuda:0"
    assert device_copy._HELD.held is None  # though the result keeps its rows
    assert next(there.model.parameters()).device.type == "cpu"
    one, other = here.fair_head.head.weight, there.fair_head.head.weight
    assert np.abs(one - other).max() < 1e-4 * np.abs(one).max()


def test_training_has_the_memory_to_itself(gpu, monkeypatch):
    from evenhand.finetuning.inmodel import adapt as adapting

    for module, name in ((head_fit, "IN_PASSES"), (placing, "ON_DEVICE")):
        monkeypatch.setattr(module, name, 0)
    monkeypatch.setattr(on_device, "BESIDE_BYTES", 0)
    held, made = [], []
    train, keep = adapting.train_parts, device_copy._HELD.keep
    monkeypatch.setattr(
        adapting,
        "train_parts",
        lambda *given: held.append(device_copy._HELD.held) or train(*given),
    )
    monkeypatch.setattr(
        device_copy._HELD, "keep", lambda *given: made.append(given[0].device) or keep(*given)
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    split = x, (x[:, 0] + rng.normal(size=300) > 0).astype(int), rng.choice(["F", "M"], 300)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    eh.adapt(model, split, target_modules=["0"], rank=None, epochs=1, device=gpu)
    assert made == ["cuda:0"] * 2  # the ridge and the first head share one; then the refitted
    assert held == [None]
    assert device_copy._HELD.held is None


def test_rows_carry_the_device_to_every_fit():
    table = people()
    task = eh.tasks.table(table, **ASKED)
    model = nn.Sequential(nn.Linear(len(task.train.inputs[0]), 4), nn.ReLU(), nn.Linear(4, 2))
    backbone = wrap(model, classes=task.classes)
    stage = task_stage(task, backbone, use_cache=False, device="cpu", depth="auto")
    assert stage.problem.development.device == "cpu"
    stage = task_stage(task, backbone, use_cache=False, device="auto", depth="auto")
    rows = [getattr(stage.problem, name) for name in FITTED[:2]] + [stage.test]
    assert {one.device for one in (*rows, stage.problem.development)} == {"auto"}
    assert stage.deep is not None
    assert stage.deep.problem.development.device == "auto"


def test_a_table_alone_looks_for_no_device_unless_it_is_named():
    task = eh.tasks.table(people(), **ASKED)
    asked = {None: "cpu", "auto": "cpu", "cpu": "cpu", "cuda:1": "cuda:1"}
    found = {one: task_stage(task, device=one).problem.train.device for one in asked}
    assert found == asked


def test_the_estimator_gives_it_to_its_rows(a_device):
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(400, 3)), rng.choice(["F", "M"], 400)
    y = (x[:, 0] + (groups == "M") + rng.normal(size=400) > 0).astype(int)
    here = FairLinearHead().fit(x, y, sensitive_features=groups)
    there = FairLinearHead(device="cuda").fit(x, y, sensitive_features=groups)
    assert there.choice_.index == here.choice_.index
    assert 0 < np.abs(there.coef_ - here.coef_).max() < 1e-5
