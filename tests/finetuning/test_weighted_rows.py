"""Weights from a user's column or arrays reach the fit, the counts and the report."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evenhand as eh
from evenhand.errors import InputError
from evenhand.experiments.methods.registry import METHODS
from evenhand.finetuning.stage import task_stage
from evenhand.finetuning.task_file import read_config

ASKED = {"label": "y", "groups": "sex"}


@pytest.fixture(scope="module")
def people():
    draw = np.random.default_rng(0)
    n = 900
    sex, x = draw.choice(["F", "M"], n), draw.normal(size=n)
    y = np.where(x + 0.8 * (sex == "M") + draw.normal(size=n) > 0.4, "yes", "no")
    part = np.array(["train", "valid", "test"])[np.arange(n) % 3]
    w = draw.integers(1, 4, n)
    return pd.DataFrame(
        {"x": x, "z": draw.normal(size=n), "sex": sex, "y": y, "part": part, "w": w}
    )


def test_the_test_rows_figures_are_those_of_the_rows_repeated(people):
    found = eh.finetune(
        None, people, **ASKED, split="part", weight="w", weight_kind="frequency", strength=0.0
    )
    test = people[people.part == "test"]
    counts = found.run.after.counts
    assert counts.total.sum() == test.w.sum()
    decided = found.fair_model.predict(test)
    right = np.asarray(decided) == test.y.to_numpy()
    assert found.run.after.accuracy == pytest.approx(100 * test.w[right].sum() / test.w.sum())
    assert any("weighted by w" in note for note in found.run.warnings)


def test_a_column_and_arrays_of_weights_are_the_same(people):
    task = eh.tasks.table(people, **ASKED, split="part", drop=["w"])
    weights = [people.w[people.part == name] for name in ("train", "valid", "test")]
    one = eh.finetune(None, task, sample_weight=weights, strength=1.0)
    other = eh.finetune(None, people, **ASKED, split="part", weight="w", strength=1.0)
    plain = eh.finetune(None, task, strength=1.0)
    np.testing.assert_array_equal(one.fair_head.head.weight, other.fair_head.head.weight)
    assert not np.array_equal(one.fair_head.head.weight, plain.fair_head.head.weight)
    np.testing.assert_array_equal(one.run.after.counts.table, other.run.after.counts.table)


def test_weights_are_no_feature_and_what_is_none_is_refused(people):
    task = eh.tasks.table(people, **ASKED, split="part", weight="w")
    assert task.feature_names == ("x", "z")
    with pytest.raises(InputError, match="'w' is the weight and cannot be a feature"):
        eh.tasks.table(people, **ASKED, features=["x", "w"], weight="w")
    with pytest.raises(InputError, match="column 'w' is negative in 900 of 900 rows"):
        eh.tasks.table(people.assign(w=-1.0), **ASKED, weight="w")
    with pytest.raises(InputError, match="weights already"):
        eh.finetune(None, task, sample_weight=[[1.0]] * 3)
    with pytest.raises(InputError, match="weights of train, valid and test"):
        eh.finetune(None, eh.tasks.table(people, **ASKED), sample_weight=[1.0])


def test_a_task_file_names_the_column(people, tmp_path):
    people.to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "task.yaml").write_text(
        "task: table\ndata: people.csv\nlabel: y\ngroups: [sex]\nweight: w\n"
    )
    request = read_config(tmp_path / "task.yaml")
    assert request.load().train.weights is not None
    assert "weight" in request.to_config()


@pytest.mark.parametrize("name", ["reweighing", "dfr", "leace", "fairret"])
def test_peers_that_do_not_know_weights_say_so(people, name):
    stage = task_stage(eh.tasks.table(people, **ASKED, split="part", weight="w"))
    with pytest.raises(InputError, match="does not know weights"):
        list(METHODS[name].load()(stage.problem))
