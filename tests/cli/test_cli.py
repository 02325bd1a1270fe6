"""The command line, run as a process where that matters."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from evenhand.cli.main import main

BASE = [sys.executable, "-W", "error", "-m", "evenhand"]


def run(*arguments, cwd=None):
    return subprocess.run(
        [*BASE, *arguments], capture_output=True, text=True, cwd=cwd, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def finished(adult, tmp_path_factory):
    """One real run as a process; the pre-trained model is in the cache already."""
    folder = tmp_path_factory.mktemp("cli") / "new" / "run"
    return folder, run(
        "finetune", "adult", "--strength", "1", "--quiet", "--json", "--output", str(folder)
    )


def test_finetune_adult_prints_json_and_writes_the_run(finished):
    folder, done = finished
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document["command"] == "finetune"
    assert [r["method"] for r in document["records"]][-1] == "evenhand"
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.yaml", "results.csv", "result.json", "report.html", "model"}
    assert json.loads((folder / "result.json").read_text()) == document
    assert len(pd.read_csv(folder / "results.csv")) == 6
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["strength"] == 1.0
    assert (config["task"], config["seed"], config["criterion"]) == ("adult", 0, "equalized_odds")
    assert oct((folder / "results.csv").stat().st_mode & 0o777) == "0o600"


def test_the_table_is_for_people_and_quiet_is_silent(adult, tmp_path, capsys):
    with pytest.raises(SystemExit) as done:
        main(["finetune", "adult", "--strength", "0.3", "--rank", "2", "-o", str(tmp_path / "a")])
    assert not done.value.code
    shown = capsys.readouterr()
    for text in ("Err", "ΔEO", "ΔDP", "neutralized-svd", "rank 2", "evenhand", "report.html"):
        assert text in shown.out
    assert "\x1b[" not in shown.out
    assert shown.err == ""
    with pytest.raises(SystemExit):
        main(["finetune", "adult", "--strength", "0.3", "-q", "-o", str(tmp_path / "b")])
    assert capsys.readouterr().out == ""


@pytest.mark.whole
def test_plan_tells_the_smallest_bounds(adult, capsys):
    with pytest.raises(SystemExit) as done:
        main(["plan", "adult", "--json"])
    assert not done.value.code
    floors = json.loads(capsys.readouterr().out)["floors"]
    assert set(floors) == {"equalized_odds", "demographic_parity", "equal_opportunity"}
    assert all(0.005 < floor < 0.1 for floor in floors.values())


def test_help_loads_nothing_heavy():
    done = run("--help")
    assert done.returncode == 0
    assert "finetune" in done.stdout
    assert "audit" in done.stdout
    code = (
        "import sys\n"
        "from evenhand.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(','.join(sorted(heavy)) or 0)"
    )
    checked = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, evenhand; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_version(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert not done.value.code
    assert capsys.readouterr().out.startswith("evenhand 0.")


BAD = {
    "task": (["finetune", "adlut"], "no task 'adlut'"),
    "task file": (["finetune", "none.yaml"], "no task file at none.yaml"),
    "criterion": (["finetune", "adult", "--criterion", "oe"], "unknown criterion 'oe'"),
    "bound": (["finetune", "adult", "--bound", "eo"], "a limit is written criterion=number"),
    "bound's criterion": (["finetune", "adult", "--bound", "oe=.1"], "unknown criterion 'oe'"),
    "bound's limit": (["finetune", "adult", "--bound", "eo=3"], "must lie in (0, 2)"),
    "bounds": (
        ["finetune", "adult", "--bound", "eo=.1", "--bound", "eo=.2"],
        "equalized_odds is bounded 2 times",
    ),
    "error": (["finetune", "adult", "--error", "auc"], "--error: 'auc' is not one of f1, accuracy"),
    "confidence": (
        ["finetune", "adult", "--confidence", "1"],
        "--confidence: expected a number from 0.5 to 0.999",
    ),
    "cost": (["finetune", "adult", "--max-cost", "-1"], "--max-cost: expected a number from 0"),
    "rank 0": (["finetune", "adult", "--rank", "0"], "rank must lie in [1, 2]"),
    "rank 3": (["finetune", "adult", "--rank", "3"], "rank must lie in [1, 2]"),
    "alpha": (
        ["finetune", "adult", "--alpha", "2"],
        "--alpha: expected a number from 0 to 1, found 2",
    ),
    "strength": (["finetune", "adult", "--strength", "-1"], "--strength: expected a number from 0"),
    "group": (["finetune", "adult", "--group", "age"], "no group column 'age'"),
    "label": (["finetune", "adult", "--label", "hours"], "no label 'hours'"),
    "adapter": (["finetune", "adult", "--adapter", "11"], "rank must lie in [1, 10], found 11"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_exit_code_2(adult, name, tmp_path, monkeypatch, capsys):
    arguments, message = BAD[name]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["finetune"], ["finetune", "adult", "--rank", "x"], ["no"]])
def test_bad_usage_is_exit_code_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_an_output_that_cannot_be_written_is_found_before_any_work(tmp_path):
    (tmp_path / "file").write_text("x")
    done = run("finetune", "adult", "--output", str(tmp_path / "file" / "run"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write to")
    assert "give another output folder" in done.stderr
    assert done.stdout == ""


def test_a_damaged_embedded_file_is_one_line(monkeypatch, tmp_path, capsys):
    from evenhand.tasks.datasets import adult as module

    module._table.cache_clear()
    monkeypatch.setattr(module, "SHA256", "0" * 64)
    with pytest.raises(SystemExit) as done:
        main(["finetune", "adult", "-o", str(tmp_path / "x")])
    module._table.cache_clear()
    assert done.value.code == 2
    assert "error: the embedded Adult data is damaged" in capsys.readouterr().err


def test_an_interrupt_is_exit_code_130(monkeypatch, tmp_path, capsys):
    from evenhand.finetuning.recipe import Recipe

    def interrupted(self, seed, world):
        raise KeyboardInterrupt

    monkeypatch.setattr(Recipe, "stage", interrupted)
    with pytest.raises(SystemExit) as done:
        main(["finetune", "adult", "-o", str(tmp_path / "x")])
    assert done.value.code == 130
    said = capsys.readouterr().err
    assert said.startswith("interrupted; what was finished is kept")
    assert said.count("\n") == 1
