"""A task of numbers without a model: what the linear model's own backbone would give."""

import numpy as np
import pytest

from evenhand.errors import InputError
from evenhand.finetuning.linear_model import FINGERPRINT, LinearModel
from evenhand.finetuning.stage import FITTED, task_stage
from evenhand.groups import Groups
from evenhand.tasks.task import Examples, Task


def task_of_numbers(inputs):
    rng = np.random.default_rng(0)
    parts = {}
    for name in FITTED:
        labels = (inputs[:, 0] + rng.normal(0, 1, len(inputs)) > 0).astype(int)
        groups = Groups(rng.integers(0, 2, len(inputs)), ("F", "M"))
        parts[name] = Examples(inputs, labels, groups)
    return Task("numbers", ("no", "yes"), "label", **parts, fingerprint="f" * 64)


def test_its_features_and_head_are_those_that_its_backbone_gives():
    task = task_of_numbers(np.random.default_rng(1).normal(3, 20, (400, 5)))
    found = task_stage(task, seed=0)
    peer = task_stage(task, found.backbone, seed=0, use_cache=False, depth="auto")
    for name in FITTED:
        one, other = (stage.queries_of(name).features for stage in (found, peer))
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found.problem.head.weight, peer.problem.head.weight)
    assert found.problem.fresh
    assert found.depth is peer.depth is None
    assert found.fingerprints == peer.fingerprints


@pytest.mark.parametrize("shape", [(5, 2), (96, 13)])
def test_one_fingerprint_is_that_of_every_linear_model(shape):
    assert LinearModel(*shape).backbone.fingerprint == FINGERPRINT


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_what_is_no_number_is_counted(bad):
    inputs = np.ones((40, 2))
    inputs[[3, 7], 1] = bad
    with pytest.raises(InputError, match="in 2 rows of 40"):
        task_stage(task_of_numbers(inputs), seed=0)


def test_texts_need_a_model():
    texts = Examples(["good", "bad"], np.array([0, 1]), Groups(np.array([0, 1]), ("F", "M")))
    with pytest.raises(InputError, match="'reviews' needs a model"):
        task_stage(Task("reviews", ("no", "yes"), "label", texts, texts, texts, "f" * 64), seed=0)
