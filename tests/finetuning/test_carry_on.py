"""A run carried on from a kept one: its model is the model before."""

import numpy as np
import pandas as pd
import pytest
from small_runs import people, table_run, text_run

import evenhand as eh
from evenhand.errors import InputError
from evenhand.finetuning.finetune import finetune_stage
from evenhand.finetuning.recipe import recipe


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    result, _ = table_run(folder)
    result.save(folder / "run")
    return folder / "run"


@pytest.fixture
def task(tmp_path):
    frame = people(seed=7)
    frame.loc[::5, "town"] = "a new town"
    frame.to_csv(tmp_path / "later.csv", index=False)
    (tmp_path / "task.yaml").write_text(
        "task: table\ndata: later.csv\nlabel: repaid\ngroups: [sex]\nsplit: part\nstrength: 1\n"
    )
    return tmp_path / "task.yaml"


def test_the_model_before_is_the_runs_own(first, task, tmp_path):
    asked = recipe(str(task), from_run=first)
    stage = asked.stage(0)
    old = eh.load(first)
    assert not stage.problem.fresh
    np.testing.assert_array_equal(stage.problem.head.weight, old.head.weight)
    assert stage.raw == old.raw
    result = finetune_stage(stage, asked.config)
    before = next(r for r in result.run.records if r.method == "pretrained")
    test = pd.read_csv(task.parent / "later.csv").query("part == 'test'")
    assert (before.scores > 0.5).tolist() == (old.predict(test) == "yes").tolist()
    again = eh.load(result.save(tmp_path / "second"))
    assert again.raw == old.raw
    assert result.run.config["from_run"] == str(first)


def test_a_run_of_texts_is_carried_on(tmp_path):
    result, _ = text_run(tmp_path)
    result.save(tmp_path / "run")
    (tmp_path / "task.yaml").write_text(
        "task: text\ndata: says.csv\nlabel: kind\ngroups: [sex]\ntext: says\nsplit: part\n"
        "from_run: run\n"
    )
    stage = recipe(str(tmp_path / "task.yaml"), cache=tmp_path / "cache").stage(0)
    assert not stage.problem.fresh
    np.testing.assert_array_equal(stage.problem.head.weight, eh.load(tmp_path / "run").head.weight)


def test_what_cannot_be_carried_on_is_named(first, task):
    with pytest.raises(InputError, match="brings its own model"):
        recipe(str(task), from_run=first, model="resnet18")
    text = task.read_text().replace("task: table", "task: text")
    task.write_text(text)
    with pytest.raises(InputError, match="decides table, and this task is text"):
        recipe(str(task), from_run=first).stage(0)
    task.write_text(text.replace("task: text", "task: table"))
    with pytest.raises(InputError, match="holds no fine-tuned model"):
        recipe(str(task), from_run=task.parent).stage(0)


def test_the_flag_of_the_command(first, task, tmp_path, capsys):
    from evenhand.cli.main import main

    with pytest.raises(SystemExit) as done:
        main(["finetune", str(task), "--from", str(first), "-q", "-o", str(tmp_path / "out")])
    assert not done.value.code, capsys.readouterr().err
    assert eh.load(tmp_path / "out").raw == eh.load(first).raw
