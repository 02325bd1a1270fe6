"""The whole road on Apple's GPU, as it is pretended: nothing there is in double precision."""

import numpy as np
import pytest
import torch
from small_runs import WORDS
from test_finetune_on_a_gpu import decisions, devices_of, net
from tiny_models import text_classifier
from torch import nn
from trained_job import split

import evenhand as eh
from evenhand.finetuning import train_folds


def test_arrays_through_a_network(apple):
    splits = [split(400, seed) for seed in range(3)]
    asked = {"fresh_head": True, "strength": 1.0}
    model = net()
    found = eh.finetune(model, *splits, device="auto", **asked)
    expected = eh.finetune(net(), *splits, device="cpu", **asked)
    assert np.mean(decisions(found) == decisions(expected)) >= 0.97
    assert devices_of(model) == devices_of(found.model) == {"cpu"}
    there = eh.finetune(net().to(apple), *splits, device=apple, **asked)
    assert devices_of(there.model) == {"mps"}
    assert np.mean(there.fair_model.predict(splits[2][0]) == decisions(expected)) >= 0.97


@pytest.mark.whole
@pytest.mark.parametrize("trained", ["last-layer", "all"])
def test_layers_below_the_head(apple, trained, monkeypatch):
    monkeypatch.setattr(train_folds, "RATE", 1e-2)
    splits = [split(400, seed) for seed in range(3)]
    asked = {"trained": trained, "fresh_head": True, "strength": 1.0}
    found = eh.finetune(net(), *splits, device=apple, **asked)
    expected = eh.finetune(net(), *splits, device="cpu", **asked)
    assert np.mean(decisions(found) == decisions(expected)) >= 0.97


@pytest.mark.parametrize("rank", [None, 2])
def test_adapt_and_the_papers_verbs(apple, rank):
    if rank:
        pytest.importorskip("peft")
    pytest.importorskip("transformers")
    model = text_classifier(WORDS)
    draw = np.random.default_rng(0)
    tokens, groups = draw.integers(2, 10, (200, 3)), draw.choice(["F", "M"], 200)
    labels = (tokens[:, 0] > 5).astype(int)
    how = {"target_modules": ["attention.output.dense"], "epochs": 2, "ridge": 1e-2}
    found = eh.adapt(model, (tokens, labels, groups), rank=rank, device=apple, **how)
    assert devices_of(found) == {"cpu"}
    batch = {"input_ids": torch.as_tensor(tokens), "labels": labels, "group": groups}
    layers = ["classifier", "pooler.dense"]
    ways = [{"device": place, "target_modules": layers} for place in ("cpu", apple)]
    expected, there = (eh.group_fisher(model, [batch], **way) for way in ways)
    for name, sums in expected.items():
        np.testing.assert_allclose(there[name].row_sums, sums.row_sums, rtol=1e-4, atol=1e-9)
    small = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)).to(apple)
    eh.factorize_(small, target_modules=["0"], rank=2)
    eh.merge_(small)
    assert devices_of(small) == {"mps"}
