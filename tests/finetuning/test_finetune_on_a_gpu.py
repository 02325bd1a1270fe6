"""The whole road on a GPU: from raw rows to decisions, nearly all of them the processor's."""

import numpy as np
import pandas as pd
import pytest
import torch
from small_runs import WORDS, image_run, text_run
from tiny_models import image_classifier, text_classifier, tokenizer, written
from trained_job import Net, split

import evenhand as eh
from evenhand.finetuning import train_folds

ALIKE = 0.97
"""The share of decisions that are the same, at least; a GPU's sums have an order of their own."""


def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net()


def decisions(result):
    codes = result.fair_head.head.predict(result.stage.test.features)
    return np.array(result.stage.problem.train.classes)[codes]


def devices_of(model):
    return {p.device.type for p in model.parameters()}


BELOW = [pytest.param(part, marks=pytest.mark.whole) for part in ("last-layer", "all")]


@pytest.mark.parametrize("trained", ["head", *BELOW])
def test_a_network_on_a_table(gpu, trained, monkeypatch):
    monkeypatch.setattr(train_folds, "RATE", 1e-2)
    splits = [split(600, seed) for seed in range(3)]
    model, asked = net(), {"trained": trained, "fresh_head": True, "strength": 1.0}
    found = eh.finetune(model, *splits, device=gpu, precision="float32", **asked)
    expected = eh.finetune(net(), *splits, device="cpu", precision="float32", **asked)
    assert np.mean(decisions(found) == decisions(expected)) >= ALIKE
    assert devices_of(model) == devices_of(found.model) == {"cpu"}


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["images", "text"])
def test_from_a_file_to_a_file(gpu, kind, tmp_path):
    pytest.importorskip("transformers")
    parts = image_classifier() if kind == "images" else (text_classifier(WORDS), tokenizer(WORDS))
    folder = written(tmp_path / "model", *parts)
    how = {"precision": "auto" if kind == "images" else "float32"}
    runs = {"cpu": {"device": "cpu"}, "gpu": {"device": gpu, **how}}
    scored = {}
    for name, options in runs.items():
        place = tmp_path / name
        place.mkdir()
        if kind == "images":
            result, data = image_run(place, folder, size=None, **options)
        else:
            result, data = text_run(place, folder, **options)
        assert devices_of(result.model) == {"cpu"}
        run = result.save(place / "run")
        for device in ("cpu", gpu):
            out = place / f"{device}.csv"
            eh.predict(run, data, out, device=device)
            scored[name, device] = pd.read_csv(out)["decision"]
    # One run's model decides the same wherever it runs; two runs, nearly the same.
    for name in runs:
        assert (scored[name, "cpu"] == scored[name, gpu]).mean() >= ALIKE
    assert (scored["cpu", "cpu"] == scored["gpu", gpu]).mean() >= 0.9
    assert scored["cpu", "cpu"].nunique() == 2


def test_a_model_of_the_gpu_s_stays_there(gpu):
    splits = [split(400, seed) for seed in range(3)]
    model = net().to(gpu)
    found = eh.finetune(model, *splits, fresh_head=True, strength=1.0, device=gpu)
    assert devices_of(model) == devices_of(found.model) == {"cuda"}
    rows = splits[2][0]
    assert len(found.fair_model.predict(rows)) == 400
