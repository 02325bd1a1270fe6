import numpy as np
import pytest

from evenhand.errors import InputError
from evenhand.finetuning.mlp_stage import adult_stage
from evenhand.finetuning.problem import Fitted, fitted_head
from evenhand.finetuning.score import count_decisions, score
from evenhand.finetuning.stage import task_stage
from evenhand.groups import Groups
from evenhand.metrics.counts import Counts
from evenhand.rows import Rows
from evenhand.tasks.task import Examples, Task


def test_adults_stage_is_the_pretrained_model_seen_as_features(adult):
    problem = adult.problem
    sizes = [len(problem.train), len(problem.valid), len(adult.test)]
    assert sizes == [12_287, 5_000, 10_315]
    assert problem.train.features.shape[1] == 10
    assert not problem.fresh
    model = problem.network.model
    import torch

    with torch.inference_mode():
        logits = model(torch.as_tensor(adult.test_inputs)).numpy()
    np.testing.assert_allclose(problem.head.logits(adult.test.features), logits, atol=1e-4)
    record = score(adult, "pretrained", "as-is", fitted_head(problem.head, 0), 0.0)
    assert 14.5 < record.error < 17.5
    assert 0.1 < record.gap("eo") < 0.3
    assert record.scores.min() >= 0
    assert record.scores.max() <= 1
    assert set(adult.fingerprints) == {"task", "model"}


def test_the_pretrained_model_is_made_once(adult, monkeypatch):
    from evenhand.models import mlp

    monkeypatch.setattr(mlp, "pretrain_mlp", lambda *a, **k: pytest.fail("trained again"))
    again = adult_stage(seed=0)
    np.testing.assert_array_equal(again.problem.head.weight, adult.problem.head.weight)
    np.testing.assert_array_equal(again.test.features, adult.test.features)


def test_scores_of_what_decides_at_random_are_counted_by_expectation():
    rows = Rows(
        np.zeros((3, 1)), np.array([0, 1, 1]), Groups(np.array([0, 1, -1]), ("a", "b")), ("n", "y")
    )
    scores = np.array([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]])
    counts = count_decisions(scores, rows, randomised=True)
    np.testing.assert_allclose(counts.table, [[[0.7, 0.3], [0, 0]], [[0, 0], [0.2, 0.8]]])
    np.testing.assert_allclose(counts.unknown, [[0, 0], [0.5, 0.5]])
    hard = count_decisions(scores, rows)
    expected = Counts.of(rows.labels, [0, 1, 0], rows.groups, rows.classes)
    np.testing.assert_array_equal(hard.table, expected.table)


def test_what_needs_the_group_says_so(adult):
    fitted = Fitted(lambda q: np.eye(2)[q.groups.codes], 1, needs_group=True, notes=("x",))
    record = score(adult, "m", "", fitted, 0.0)
    assert record.notes == ("x", "needs the group at prediction")
    assert record.scores is None


def array_task(inputs):
    rng = np.random.default_rng(0)
    n = len(inputs)
    labels = rng.integers(0, 2, n)
    groups = Groups(rng.integers(0, 2, n), ("a", "b"))
    part = Examples(inputs, labels, groups)
    return Task("t", ("n", "y"), "label", part[: n // 2], part[n // 2 : -50], part[-50:], "f")


def test_a_task_of_numbers_needs_no_model(tmp_path):
    x = np.random.default_rng(1).normal(size=(400, 3)).astype(np.float32)
    stage = task_stage(array_task(x), cache=tmp_path)
    assert stage.problem.fresh
    np.testing.assert_allclose(stage.problem.train.features, x[:200], atol=1e-6)
    assert stage.problem.head.weight.shape == (3, 2)
    with pytest.raises(InputError, match="'t' needs a model"):
        task_stage(array_task(np.zeros((400, 3, 2))), cache=tmp_path)
