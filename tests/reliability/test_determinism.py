"""The same seed gives the same numbers: to the bit on as many threads, to 1e-6 on others."""

import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import ThreadpoolController
from torch import nn

from evenhand._base import threads
from evenhand.finetuning.finetune import finetune_stage
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.stage import task_stage
from evenhand.groups import Groups
from evenhand.models import wrap
from evenhand.report.record import results_frame
from evenhand.tasks.task import Examples, Task

pytestmark = pytest.mark.whole


def task():
    draw = np.random.default_rng(0)
    parts = {}
    for name, number in {"train": 300, "valid": 100, "test": 200}.items():
        codes = draw.integers(0, 2, number)
        inputs = draw.normal(size=(number, 3, 12, 12)).astype(np.float32)
        inputs[:, 0] += 0.2 * codes[:, None, None]
        labels = (inputs[:, :2].mean(axis=(1, 2, 3)) + 0.05 * draw.normal(size=number) > 0.05) * 1
        parts[name] = Examples(inputs, labels, Groups(codes, ("a", "b"), "team"))
    return Task("made up", ("no", "yes"), "y", fingerprint="f", **parts)


def run(number):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = [nn.Conv2d(3, 32, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
        model = wrap(nn.Sequential(*body, nn.Linear(128, 2)))
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with ThreadpoolController().limit(limits=number):
            stage = task_stage(task(), model, use_cache=False)
            result = finetune_stage(stage, FinetuneRequest(strength=1.0))
    finally:
        torch.set_num_threads(before)
    weights = torch.cat([value.flatten() for value in result.model.state_dict().values()])
    frame = results_frame(result.run.records).drop(columns="seconds")
    return stage.test.features, weights, frame


def test_the_same_twice_and_with_another_number_of_threads(monkeypatch):
    monkeypatch.setattr(threads, "SMALL", 0)  # so that a small problem takes all threads too
    one, again, two = run(1), run(1), run(2)
    np.testing.assert_array_equal(one[0], again[0])
    assert torch.equal(one[1], again[1])
    pd.testing.assert_frame_equal(one[2], again[2], check_exact=True)
    np.testing.assert_allclose(two[0], one[0], rtol=1e-6, atol=1e-6)
    pd.testing.assert_frame_equal(one[2], two[2], rtol=1e-6, atol=1e-6)
