"""A sweep: every combination once, resumed where it stopped, in folders that are runs."""

import json

import numpy as np
import pandas as pd
import pytest

import evenhand as eh
from evenhand.cli.main import main
from evenhand.errors import InputError
from evenhand.experiments import sweep as module


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    draw = np.random.default_rng(0)
    sex = draw.choice(["F", "M"], 900)
    age = draw.normal(size=900) + 0.5 * (sex == "M")
    repaid = np.where(age + draw.normal(size=900) > 0.3, "yes", "no")
    folder = tmp_path_factory.mktemp("sweep")
    pd.DataFrame({"age": age, "sex": sex, "repaid": repaid}).to_csv(
        folder / "people.csv", index=False
    )
    (folder / "task.yaml").write_text(
        "task: table\ndata: people.csv\nlabel: repaid\ngroups: [sex]\nname: people\n"
        "criterion: demographic_parity\nfeatures: [age]\n"
    )
    return folder


def test_every_combination_is_a_run_and_none_is_made_twice(people, tmp_path, monkeypatch):
    over = {"bound": [0.2, 0.6], "seed": [0]}
    found = eh.sweep(str(people / "task.yaml"), over, tmp_path / "s")
    assert found[["bound", "seed"]].values.tolist() == [[0.2, 0], [0.6, 0]]
    for row in found.to_dict(orient="records"):
        folder = tmp_path / "s" / "runs" / row["folder"]
        result = json.loads((folder / "result.json").read_text())
        assert result["promised"] is row["promised"]
        assert result["after"]["error"] == row["error_after"]
        assert result["config"]["bounds"] == {"demographic_parity": row["bound"]}
        assert (folder / "model").is_dir()
    assert found["promised"].tolist()[1] is True

    def fail(*_):
        raise AssertionError("a run was made twice")

    monkeypatch.setattr("evenhand.finetuning.finetune.finetune_stage", fail)
    again = eh.sweep(str(people / "task.yaml"), over, tmp_path / "s")
    pd.testing.assert_frame_equal(found, again)
    monkeypatch.undo()
    more = eh.sweep(str(people / "task.yaml"), over | {"bound": [0.6, 0.9]}, tmp_path / "s")
    assert more["folder"][0] == found["folder"][1]
    assert len(list((tmp_path / "s" / "runs").glob("bound*"))) == 3
    assert pd.read_csv(tmp_path / "s" / module.TABLE)["bound"].tolist() == [0.6, 0.9]


def test_another_sweep_does_not_enter_its_folder(people, tmp_path):
    eh.sweep(str(people / "task.yaml"), {"bound": [0.6]}, tmp_path / "s")
    with pytest.raises(InputError, match="holds results made from something else"):
        eh.sweep(str(people / "task.yaml"), {"confidence": [0.9]}, tmp_path / "s")


def test_what_cannot_be_run_says_why_and_the_rest_goes_on(people, tmp_path):
    over = {"exclude_groups": [["F"], []], "bound": [0.6]}
    found = eh.sweep(str(people / "task.yaml"), over, tmp_path / "s")
    assert "M is left: a gap needs two groups" in found["not_run"][0]
    assert found["promised"][1] is True
    assert found["exclude_groups"].tolist() == ['["F"]', "[]"]


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({}, "a sweep needs an option"),
        ({"bound": []}, "a sweep needs an option"),
        ({"output": ["x"]}, "output is not swept over"),
        ({"bound": [7]}, "--bound: "),
    ],
)
def test_what_is_no_sweep_is_refused(people, tmp_path, over, said):
    with pytest.raises(InputError, match=said):
        eh.sweep(str(people / "task.yaml"), over, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_the_command_shows_a_line_a_run(people, tmp_path, capsys):
    task, folder = str(people / "task.yaml"), str(tmp_path / "s")
    arguments = ["sweep", task, "--over", "bound=.3,.6", "-o", folder, "--jobs", "1"]
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert not done.value.code
    shown = capsys.readouterr().out
    assert "error_after" in shown
    assert "0.300" in shown
    with pytest.raises(SystemExit):
        main([*arguments, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [row["bound"] for row in told] == [0.3, 0.6]
