"""A run carried on from a kept one: its model is the model before."""

import numpy as np
import pandas as pd
import pytest
from small_runs import people, table_run, text_run

import evenhand as eh
from evenhand.cli.main import main
from evenhand.errors import InputError
from evenhand.finetuning.finetune import finetune_stage
from evenhand.finetuning.recipe import recipe
from evenhand.metrics import Counts
from evenhand.metrics.rates import gap


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


@pytest.mark.whole
def test_a_run_of_texts_is_carried_on(tmp_path, capsys):
    result, _ = text_run(tmp_path)
    result.save(tmp_path / "run")
    (tmp_path / "task.yaml").write_text(
        "task: text\ndata: says.csv\nlabel: kind\ngroups: [sex]\ntext: says\nsplit: part\n"
        "from_run: run\n"
    )
    stage = recipe(str(tmp_path / "task.yaml"), cache=tmp_path / "cache").stage(0)
    assert not stage.problem.fresh
    np.testing.assert_array_equal(stage.problem.head.weight, eh.load(tmp_path / "run").head.weight)
    asked = ["--strength", "1", "--cache", str(tmp_path / "new"), "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        main(["finetune", str(tmp_path / "task.yaml"), *asked])
    assert "\r" not in capsys.readouterr().err  # a log file is not drawn on


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
    with pytest.raises(SystemExit) as done:
        main(["finetune", str(task), "--from", str(first), "-q", "-o", str(tmp_path / "out")])
    assert not done.value.code, capsys.readouterr().err
    assert eh.load(tmp_path / "out").raw == eh.load(first).raw


@pytest.fixture(scope="module")
def adult_run(adult, tmp_path_factory):
    from evenhand.finetuning.request import FinetuneRequest

    result = finetune_stage(adult, FinetuneRequest("adult", strength=0.3))
    return result, result.save(tmp_path_factory.mktemp("adult") / "run")


@pytest.mark.whole
def test_adult_is_carried_on_as_its_run_reads_it(adult_run, adult):
    first, folder = adult_run
    asked = recipe("adult", from_run=folder)
    stage, old = asked.stage(0), eh.load(folder)
    assert not stage.problem.fresh
    assert stage.raw == old.raw
    np.testing.assert_array_equal(stage.test.labels, adult.test.labels)
    result = finetune_stage(stage, asked.config)
    before = next(r for r in result.run.records if r.method == "pretrained")
    np.testing.assert_allclose(before.scores, first.run.after.scores, atol=1e-6)
    choice, rows = result.fair_head.choice, stage.problem.development
    decided = stage.problem.head.predict(rows.features)
    old_gap = gap(Counts.of(rows.labels, decided, rows.groups, rows.classes).table, "eo")
    assert choice.old_ignored is None
    assert choice.gaps[result.run.criterion] <= old_gap + 1e-12
    other = recipe("adult", from_run=folder, groups="race").stage(0)
    assert other.test.groups.attribute == "race"


def test_rows_that_made_the_model_do_not_test_it(adult_run, first, tmp_path):
    with pytest.raises(InputError, match="by seed 0, not 1: rows that made its model would test"):
        recipe("adult", from_run=adult_run[1]).stage(1)
    with pytest.raises(InputError, match="says of no seed"):
        recipe("adult", from_run=adult_run[1] / "model").stage(0)
    with pytest.raises(InputError, match="decides income, and occupation is asked for"):
        recipe("adult", from_run=adult_run[1], label="occupation").stage(0)
    with pytest.raises(InputError, match="layers: are those of the run"):
        recipe("adult", from_run=adult_run[1], layers=3)
    people().to_csv(tmp_path / "people.csv", index=False)
    text = "task: table\ndata: people.csv\nlabel: repaid\ngroups: [sex]\nseed: {}\nstrength: 1\n"
    (tmp_path / "a.yaml").write_text(text.format(3))
    asked = recipe(str(tmp_path / "a.yaml"))
    finetune_stage(asked.stage(3), asked.config).save(tmp_path / "run")
    same = recipe(str(tmp_path / "a.yaml"), from_run=tmp_path / "run")
    assert not same.stage(3).problem.fresh
    (tmp_path / "b.yaml").write_text(text.format(4))
    with pytest.raises(InputError, match="parted the same data by seed 3, not 4"):
        recipe(str(tmp_path / "b.yaml"), from_run=tmp_path / "run").stage(4)
