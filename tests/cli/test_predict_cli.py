"""evenhand predict and export, on a run on real Adult rows."""

import json

import pandas as pd
import pytest

from evenhand.cli.main import main
from evenhand.tasks.datasets.adult import _table


@pytest.fixture(scope="module")
def run(adult, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    with pytest.raises(SystemExit) as done:
        main(["finetune", "adult", "--strength", "1", "-q", "-o", str(folder / "run")])
    assert not done.value.code
    rows = _table().drop(columns=["income", "sex"]).head(500)
    rows.insert(0, "id", [f"a{row}" for row in range(500)])
    rows.to_csv(folder / "new.csv", index=False)
    return folder


def called(capsys, *arguments):
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return done.value.code, capsys.readouterr()


def test_predict_says_what_it_did_and_saw(run, capsys, tmp_path):
    out = tmp_path / "scored.csv"
    code, said = called(
        capsys, "predict", run / "run", run / "new.csv", "-o", out, "--columns", "id"
    )
    assert not code
    assert said.out.startswith(f"500 of 500 rows decided: {out}\ndecided >50K: ")
    assert "drift.json" in said.out
    table = pd.read_csv(out)
    assert table["id"].tolist() == [f"a{row}" for row in range(500)]
    assert set(table["decision"]) == {"<=50K", ">50K"}


def test_json_and_quiet(run, capsys, tmp_path):
    arguments = ("predict", run / "run", run / "new.csv", "-o", tmp_path / "s.parquet")
    code, said = called(capsys, *arguments, "--json")
    document = json.loads(said.out)
    assert not code
    assert (document["rows"], document["unreadable"]) == (500, 0)
    assert document["drift"]["columns"]["race"]["unseen"] == 0
    code, said = called(capsys, *arguments, "--quiet")
    assert (code or 0, said.out) == (0, "")


def test_errors_name_the_thing(run, capsys, tmp_path):
    frame = pd.read_csv(run / "new.csv").drop(columns=["age"])
    frame.to_csv(tmp_path / "less.csv", index=False)
    code, said = called(
        capsys, "predict", run / "run", tmp_path / "less.csv", "-o", tmp_path / "s.csv"
    )
    assert code == 2
    assert "less.csv lacks 1 of the 13 columns that the model reads: age" in said.err
    assert not (tmp_path / "s.csv").exists()
    code, said = called(capsys, "predict", tmp_path, run / "new.csv", "-o", tmp_path / "s.csv")
    assert code == 2
    assert "holds no fine-tuned model" in said.err


def test_export_is_checked_on_the_rows_given(run, capsys, tmp_path):
    pytest.importorskip("onnxruntime")
    out = tmp_path / "adult.onnx"
    code, said = called(capsys, "export", run / "run", run / "new.csv", "-o", out)
    assert not code
    assert said.out.startswith(f"{out}: the largest difference of a probability is ")
    assert out.is_file()
