"""A head that reads several depths, from the features to a model that is kept and exported."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from packaging.version import Version
from small_runs import image_run, people, text_run
from torch import nn

import evenhand as eh
from evenhand.errors import InputError
from evenhand.finetuning.depth import deep_backbone, moments, own_features, scaled_depth
from evenhand.finetuning.export.export import FORMATS, export
from evenhand.finetuning.finetune import finetune_stage
from evenhand.finetuning.mlp_stage import adult_stage
from evenhand.finetuning.problem import fitted_on
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.shipped_check import require_same_decisions
from evenhand.finetuning.stage import task_stage
from evenhand.head import Head
from evenhand.models import deepened, load, wrap
from evenhand.models.features import entries
from evenhand.models.features.disk_array import Stored
from evenhand.models.mlp import MLP
from evenhand.tasks.image_task import images

QUICK = FinetuneRequest(strength=1.0)
"""Of the head on its own input; the deep one is made by hand."""


@pytest.fixture(scope="module")
def stage():
    return adult_stage(depth="auto")


@pytest.fixture(scope="module")
def result(stage):
    return finetune_stage(stage, FinetuneRequest(bound={"demographic_parity": 0.12}))


def test_blocks_are_brought_to_the_size_of_the_head_s_own_input():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Sequential(nn.Linear(5, 8), nn.Tanh()),
        nn.Sequential(nn.Linear(8, 4), nn.Tanh()),
        nn.Sequential(nn.Linear(4, 6), nn.Tanh()),
        nn.Linear(6, 2),
    )
    rows = np.random.default_rng(0).normal(size=(400, 5))
    backbone = deepened(wrap(net), rows[:3])
    with torch.no_grad():
        features = backbone.read(torch.tensor(rows, dtype=torch.float32)).double().numpy()
    found = scaled_depth(backbone, {"train": features[:300], "test": features[300:]})
    blocks = np.split(features[:300], [6, 10], axis=1)
    sizes = [np.sqrt(block.var(axis=0).mean()) for block in blocks]
    assert [block.shape[1] for block in blocks] == [6, 4, 8]  # the nearest first
    expected = np.repeat([1, sizes[0] / sizes[1], sizes[0] / sizes[2]], [6, 4, 8])
    np.testing.assert_allclose(found.features["test"], features[300:] * expected, rtol=1e-6)
    np.testing.assert_allclose(found.backbone.features(rows[300:]), found.features["test"], 1e-4)


def test_rows_of_a_table_are_centred_and_halved(stage):
    deep = stage.deep.problem.train.features
    inputs = np.asarray(stage.inputs["train"], dtype=np.float64)
    np.testing.assert_allclose(deep[:, :10], stage.problem.train.features, atol=1e-6)
    np.testing.assert_allclose(deep[:, 10:], 0.5 * (inputs - inputs.mean(axis=0)), atol=1e-5)
    far = {"train": stage.depth.features["train"] * 1, "test": stage.depth.features["test"]}
    far = {name: np.hstack([part[:, :10], 1e5 * part[:, 10:]]) for name, part in far.items()}
    plain = deepened(stage.backbone, stage.inputs["train"][:3])
    block = scaled_depth(plain, far).features["train"][:, 10:]
    assert np.sqrt(block.var(axis=0).mean()) == pytest.approx(0.5, rel=1e-4)


def test_features_on_disk_are_scaled_as_they_are_read(tmp_path):
    draw = np.random.default_rng(0)
    whole = draw.normal(3, 2, size=(50, 6)).astype(np.float32)
    order = draw.permutation(50)
    stored = Stored(
        [whole[:20], whole[20:]], (order >= 20).astype(int), np.where(order < 20, order, order - 20)
    )
    mean, variance = moments(stored)
    np.testing.assert_allclose(mean, whole.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, whole.astype(np.float64).var(axis=0), rtol=1e-10)
    centre, scale = draw.normal(size=6), draw.uniform(1, 2, 6)
    expected = (whole[order] - centre.astype(np.float32)) * scale.astype(np.float32)
    scaled = stored.scaled(centre, scale)
    np.testing.assert_array_equal(np.asarray(scaled), expected)
    np.testing.assert_array_equal(np.asarray(scaled[10:20]), expected[10:20])
    np.testing.assert_allclose(scaled @ np.eye(6), expected, rtol=1e-6)
    own = own_features(stored, 4)
    assert own.shape == (50, 4)
    np.testing.assert_array_equal(np.asarray(own), whole[order][:, :4])
    both = np.concatenate([scaled[:5], scaled[5:]])
    assert isinstance(both, Stored)
    np.testing.assert_array_equal(np.asarray(both), expected)
    mixed = np.concatenate([scaled[:5], stored[5:]])
    np.testing.assert_array_equal(mixed[5:], whole[order][5:])
    with pytest.raises(InputError, match="scaled already"):
        scaled.scaled(centre, scale)


def test_a_deep_head_is_chosen_kept_and_used(result, stage, tmp_path):
    assert isinstance(result.model, eh.DeepReadout)
    assert result.promised
    assert result.run.after.setting.text.startswith("deep ")
    assert "reads input of features.hidden1 too" in result.run.decided
    model = eh.load(result.save(tmp_path / "run"))
    assert isinstance(model.module, eh.DeepReadout)
    assert type(model.module.model) is MLP
    expected = result.fair_head.head.logits(stage.deep.test.features)
    with torch.no_grad():
        logits = model.module(torch.as_tensor(stage.inputs["test"]))
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    with pytest.raises(InputError, match="read at input of head"):
        model.to_sklearn()


@pytest.mark.whole
def test_plain_keeps_the_class_and_says_what_it_costs(stage):
    bound = {"demographic_parity": 0.12}
    found = finetune_stage(stage, FinetuneRequest(bound=bound, plain=True))
    assert type(found.model) is MLP
    note = next(note for note in found.run.warnings if "--plain" in note)
    assert "where a head that reads the stages before its own input too has ΔDP" in note


def test_inputs_that_cannot_be_read_are_passed_over_and_not_traced():
    class Some(list):
        def __getitem__(self, place):
            if place < bad:
                raise OSError("broken")
            return super().__getitem__(place)

    backbone = wrap(MLP(4, 2))
    rows = Some(np.ones((12, 4), dtype=np.float32))
    bad = 3
    assert deep_backbone(backbone, rows, "auto").in_features == 14
    bad = 12
    assert deep_backbone(backbone, rows, "auto") is None
    assert deep_backbone(backbone, [], 2) is None


def test_depth_0_reads_the_head_s_own_input_alone():
    stage = adult_stage(depth=0)
    assert stage.deep is None
    assert stage.problem.deep is None


def shipped(stage, result):
    """The model a run would ship had it chosen a deep head with these numbers."""
    draw = np.random.default_rng(0)
    deep = stage.deep.backbone
    size = (deep.in_features, len(stage.test.classes))
    head = Head(draw.normal(size=size) / np.sqrt(size[0]), draw.normal(size=size[1]))
    model = deep.with_head(head, stage.test.classes)
    fitted = fitted_on("deep", deep.as_stored(head), head.trainable_parameters)
    assert require_same_decisions(stage, model, fitted) == ()
    return replace(
        result.fair_model,
        backbone=replace(deep, model=model, classes=result.fair_model.classes),
    ), head.predict(stage.deep.test.features)


@pytest.mark.parametrize("kind", ["images", "texts"])
@pytest.mark.whole
def test_what_is_shipped_decides_as_its_features_do(kind, tmp_path):
    run = image_run if kind == "images" else text_run
    result, data = run(tmp_path, request=QUICK, depth="auto")
    model, codes = shipped(result.stage, result)
    again = eh.load(model.save(tmp_path / "model"))
    frame = pd.read_csv(data, keep_default_na=False)
    rows = frame[frame["part"] == "test"].iloc[:, 0]
    rows = [str(tmp_path / name) for name in rows] if kind == "images" else list(rows)
    expected = [model.classes[code] for code in codes]
    assert list(again.predict(rows)) == expected
    for name in ("onnx", "torch-export"):
        if name == "torch-export" and Version(torch.__version__) < Version("2.7"):
            continue  # refused, since it writes pickles: see test_export
        assert export(again, rows, name, tmp_path / f"model{FORMATS[name]}").difference < 1e-4


def test_a_table_s_deep_head_is_one_onnx_graph(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    frame = people()
    frame.to_csv(tmp_path / "people.csv", index=False)
    task = eh.tasks.table(
        tmp_path / "people.csv", label="repaid", groups="sex", split="part", drop=["id"]
    )
    torch.manual_seed(0)
    net = MLP(np.asarray(task.train.inputs).shape[1], 2, layers=3)
    stage = task_stage(task, wrap(net, "head", classes=task.classes), depth="auto")
    model, codes = shipped(stage, finetune_stage(stage, QUICK))
    rows = frame[frame["part"] == "test"]
    assert list(model.predict(rows)) == [model.classes[code] for code in codes]
    for name in ("onnx", "torch-export"):
        if name == "torch-export" and Version(torch.__version__) < Version("2.7"):
            continue  # refused, since it writes pickles: see test_export
        assert export(model, rows, name, tmp_path / f"model{FORMATS[name]}").difference < 1e-5
    again = eh.load(model.save(tmp_path / "model"))
    assert list(again.predict(rows)) == list(model.predict(rows))


@pytest.mark.whole
def test_the_cache_holds_both_and_mistakes_neither(tmp_path):
    result, _ = image_run(tmp_path, request=QUICK, depth="auto")
    stage, root = result.stage, tmp_path / "cache"
    task = images(tmp_path / "faces.csv", label="light", groups="sex", split="part")
    backbone = load("efficientnet-lite0", size=32)
    plain = task_stage(task, backbone, cache=root)
    deep = task_stage(task, backbone, cache=root, depth="auto")
    assert len(entries(root)) == 2
    np.testing.assert_array_equal(plain.test.features, deep.test.features)
    np.testing.assert_allclose(deep.depth.features["test"], stage.depth.features["test"], 1e-5)
    again = task_stage(task, backbone, cache=root, depth=1)
    assert len(entries(root)) == 3
    width = again.deep.test.features.shape[1]
    np.testing.assert_array_equal(again.deep.test.features, deep.deep.test.features[:, :width])
