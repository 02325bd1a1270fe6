"""A kept run, run again: the same to the bit, or the numbers that are not, by name."""

import csv
import importlib
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from evenhand._base.seals import SUMS, check_sums
from evenhand.cli.main import app, main
from evenhand.errors import ArtefactError, EvenhandError, InputError
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
    assert "results.csv, line 7 (evenhand, " in result.output
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
    (tmp_path / "config.yaml").write_text("format: 1\ncommand: dance\n")
    with pytest.raises(InputError, match="the command 'dance': finetune, finetune labels, compare"):
        rerun(tmp_path, Where(tmp_path / "x"))
    for said, of in (("", "without a format"), ("format: 7\n", "of format '7'")):
        (tmp_path / "config.yaml").write_text(f"{said}command: finetune\ntask: adult\n")
        with pytest.raises(InputError, match=f"is {of}, and this evenhand reads format 1"):
            rerun(tmp_path, Where(tmp_path / "x"))
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(ArtefactError, match="is damaged"):
        rerun(tmp_path, Where(tmp_path / "x"))
    config = yaml.safe_load((finetuned / "config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config | {"confidence": "high"}))
    with pytest.raises(ArtefactError, match="damaged: --confidence: expected a number"):
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


def test_a_run_and_its_data_move_together_and_are_found_from_anywhere(tmp_path, monkeypatch):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({n: draw.integers(0, 2, 400) for n in ("y", "yhat", "sex")})
    (tmp_path / "one").mkdir()
    frame.to_csv(tmp_path / "one" / "predictions.csv", index=False)
    monkeypatch.chdir(tmp_path / "one")
    options = ("--label", "y", "--prediction", "yhat", "--group", "sex", "--quiet")
    assert call("audit", "predictions.csv", *options, "--output", "runs/a") == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert rerun(tmp_path / "one/runs/a", Where(tmp_path / "again")).agrees
    assert rerun(tmp_path / "again", Where(tmp_path / "third")).agrees
    (tmp_path / "one").rename(tmp_path / "two")
    outcome = rerun(Path("../two/runs/a"), Where(Path("x")))
    assert (outcome.differences, outcome.notes) == ((), ())
    frame.iloc[:300].to_csv(tmp_path / "two" / "predictions.csv", index=False)
    outcome = rerun(tmp_path / "two/runs/a", Where(Path("y")))
    assert not outcome.agrees
    assert "the file's content changed" in outcome.notes[0]


def test_no_module_is_imported_unless_trusted(finetuned, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs.py").write_text("open('was here', 'w').close()\ndef build(): pass\n")
    shutil.copytree(finetuned, tmp_path / "run")
    config = yaml.safe_load((finetuned / "config.yaml").read_text())
    theirs = config | {"model": "theirs:build"}
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(theirs))
    result = CliRunner().invoke(app, ["rerun", str(tmp_path / "run")])
    assert isinstance(result.exception, InputError)
    assert "'theirs:build': to run it again imports that module" in str(result.exception)
    assert "--trust-code" in str(result.exception)
    assert not (tmp_path / "was here").exists()
    result = CliRunner().invoke(app, ["rerun", str(tmp_path / "run"), "--trust-code"])
    assert "returned a NoneType" in str(result.exception)
    assert (tmp_path / "was here").exists()


@pytest.mark.parametrize(
    "named",
    [{"criterion": "theirs:measure"}, {"bounds": {"theirs:measure": 0.1}}],
    ids=["criterion", "bounds"],
)
def test_no_criterion_is_imported_unless_trusted(finetuned, tmp_path, monkeypatch, named):
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs.py").write_text("open('was here', 'w').close()\nmeasure = 3\n")
    shutil.copytree(finetuned, tmp_path / "run")
    config = yaml.safe_load((finetuned / "config.yaml").read_text())
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config | named))
    result = CliRunner().invoke(app, ["rerun", str(tmp_path / "run")])
    assert isinstance(result.exception, InputError)
    assert "names the criterion 'theirs:measure': to run it again" in str(result.exception)
    assert not (tmp_path / "was here").exists()
    result = CliRunner().invoke(app, ["rerun", str(tmp_path / "run"), "--trust-code"])
    assert "is a int, no function of counts" in str(result.exception)
    assert (tmp_path / "was here").exists()


JUNK = st.sampled_from([None, "", "x", -1, 10**400, 1.5, True, [], ["x"], [[1]], {}, {"x": 1}])


@contextmanager
def without_work():
    """Everything before the work: what a run would do is left out."""
    with pytest.MonkeyPatch.context() as patch:
        from evenhand.finetuning.recipe import Recipe

        class Nothing(Exception):
            pass

        def stop(*_, **__):
            raise Nothing

        for name in (
            "evenhand.finetuning.finetune.finetune_stage",
            "evenhand.experiments.compare.run.compare",
            "evenhand.experiments.paper.run.run_paper",
        ):
            patch.setattr(name, stop)
        patch.setattr(Recipe, "stage", stop)
        patch.setattr(importlib.import_module("evenhand.auditing.run"), "audit_of", stop)
        yield Nothing


@pytest.mark.parametrize("kind", ["finetuned", "compared", "audited", "paper"])
@given(data=st.data())
def test_a_damaged_config_of_any_kind_is_named(kind, request, tmp_path_factory, data):
    if kind == "paper":
        config = {
            "format": 1,
            "command": "paper",
            "what": "fig3",
            "seeds": 1,
            "tasks": ["adult"],
            "data": None,
        }
    else:
        folder = request.getfixturevalue(kind)
        config = yaml.safe_load((folder / "config.yaml").read_text())
    for key in data.draw(st.lists(st.sampled_from(sorted(config)), max_size=3)):
        if data.draw(st.booleans()):
            config[key] = data.draw(JUNK)
        else:
            config.pop(key, None)
    text = yaml.safe_dump(config, allow_unicode=True).encode()
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.binary(max_size=3)) + text[at + 1 :]
    kept = tmp_path_factory.mktemp("damaged")
    (kept / "config.yaml").write_bytes(text)
    with without_work() as nothing, pytest.raises((EvenhandError, nothing)) as error:
        rerun(kept, Where(kept / "again"))
    assert "config.yaml" in str(error.value) or not str(error.value) or "exist" in str(error.value)
