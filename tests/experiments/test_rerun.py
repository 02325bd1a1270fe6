"""A kept run, run again: the same to the bit, or the numbers that are not, by name."""

import csv
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from evenhand._base.seals import SUMS, check_sums
from evenhand.cli.main import app, main
from evenhand.errors import ArtefactError, InputError
from evenhand.experiments.agreement import differences
from evenhand.experiments.rerun import Where, rerun


def call(*arguments):
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return done.value.code or 0


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory, adult):
    folder = tmp_path_factory.mktemp("kept") / "finetune"
    options = ("--strength", "1", "--rank", "2", "--bound", "eo=0.2", "--confidence", "0.8")
    assert call("finetune", "adult", *options, "--quiet", "-o", folder) == 0
    return folder


@pytest.fixture(scope="module")
def compared(tmp_path_factory, adult):
    folder = tmp_path_factory.mktemp("kept") / "compare"
    options = ("--methods", "transfer,gap-eo", "--seeds", 1, "--bound", "dp=0.15", "--jobs", 1)
    assert call("compare", "adult", *options, "--quiet", "-o", folder) == 0
    return folder


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    top = tmp_path_factory.mktemp("kept")
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({n: draw.integers(0, 2, 400) for n in ("y", "yhat", "sex")})
    frame.to_csv(top / "predictions.csv", index=False)
    options = ("--label", "y", "--prediction", "yhat", "--group", "sex", "--quiet")
    assert call("audit", top / "predictions.csv", *options, "--output", top / "out") == 0
    return top / "out"


@pytest.mark.parametrize("kind", ["finetuned", "compared", "audited"])
def test_the_same_numbers_to_the_bit(kind, request, tmp_path):
    folder = request.getfixturevalue(kind)
    assert check_sums(folder) == []
    outcome = rerun(folder, Where(tmp_path / "again"))
    assert outcome.differences == ()
    assert outcome.notes == ()
    assert str(outcome) == "the numbers agree to the bit"
    assert (tmp_path / "again" / SUMS).is_file()


def test_the_papers_run(tmp_path, adult):
    options = ("fig5", "--seeds", 1, "--jobs", 1, "--quiet")
    assert call("paper", *options, "-o", tmp_path / "kept") == 0
    outcome = rerun(tmp_path / "kept", Where(tmp_path / "again"))
    assert (outcome.differences, outcome.notes) == ((), ())


def test_a_number_that_differs_is_named(finetuned, tmp_path):
    folder = tmp_path / "kept"
    shutil.copytree(finetuned, folder)
    lines = list(csv.reader((folder / "results.csv").read_text().splitlines()))
    column = lines[0].index("accuracy")
    lines[-1][column] = str(float(lines[-1][column]) + 1)
    lines[1][column] = str(float(lines[1][column]) + 1e-9)
    with (folder / "results.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    result = CliRunner().invoke(app, ["rerun", str(folder)])
    assert result.exit_code == 1
    assert "results.csv was changed, is damaged or is of another run" in result.output
    assert "results.csv, line 6 (evenhand, " in result.output
    assert ", accuracy: was " in result.output
    assert "1 numbers do not agree" in result.output
    assert len(differences(folder, finetuned)) == 2


def test_changed_inputs_and_versions_are_told(compared, tmp_path):
    import evenhand._base.seals as sealing

    folder = tmp_path / "kept"
    shutil.copytree(compared, folder)
    mark = folder / "cells" / "made-from.json"
    made = sealing.unsealed(mark.read_text()) | {"evenhand": "0.0.1", "data": "a" * 64}
    mark.write_text(sealing.sealed(made))
    outcome = rerun(folder, Where(tmp_path / "again"))
    assert "evenhand changed: was 0.0.1, is " in " ".join(outcome.notes)
    assert "data changed: was aaaaaaaaaaaa…, is not told" in outcome.notes
    assert outcome.agrees


def test_what_cannot_be_run_again_is_named(finetuned, tmp_path):
    with pytest.raises(InputError, match="holds no run: it has no config"):
        rerun(tmp_path, Where(tmp_path / "x"))
    with pytest.raises(InputError, match="is the run itself"):
        rerun(finetuned, Where(finetuned))
    (tmp_path / "config.yaml").write_text("command: dance\n")
    with pytest.raises(InputError, match="the command 'dance': finetune, compare, paper, audit"):
        rerun(tmp_path, Where(tmp_path / "x"))
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(ArtefactError, match="is damaged"):
        rerun(tmp_path, Where(tmp_path / "x"))
    config = yaml.safe_load((finetuned / "config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config | {"confidence": "high"}))
    with pytest.raises(ArtefactError, match="damaged: expected a number"):
        rerun(tmp_path, Where(tmp_path / "x"))


def test_a_run_whose_data_are_gone(tmp_path, audited):
    shutil.copytree(audited, tmp_path / "kept")
    config = yaml.safe_load((tmp_path / "kept/config.yaml").read_text())
    moved = tmp_path / "predictions.csv"
    shutil.copy(config["file"], moved)
    (tmp_path / "kept/config.yaml").write_text(yaml.safe_dump(config | {"file": "gone.csv"}))
    with pytest.raises(InputError, match=r"gone\.csv does not exist"):
        rerun(tmp_path / "kept", Where(tmp_path / "x"))
    assert rerun(tmp_path / "kept", Where(tmp_path / "y", data=moved)).agrees
