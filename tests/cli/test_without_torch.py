"""What works where torch is not installed."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Missing())
from evenhand.cli.main import main
main(sys.argv[1:])
"""


@pytest.fixture
def evenhand(tmp_path):
    """The command line in a process that has no torch."""

    def run(*words, codes=(0,)):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT, *map(str, words)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONUTF8": "1"},
            timeout=120,
            check=False,
        )
        assert done.returncode in codes, done.stderr
        return done

    return run


@pytest.fixture
def decisions(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 3_000)
    frame = pd.DataFrame(
        {
            "y": y,
            "p": np.where(rng.random(3_000) < 0.8, y, 1 - y),
            "sex": rng.choice(["F", "M"], 3_000),
        }
    )
    frame.to_csv(tmp_path / "decisions.csv", index=False)
    return tmp_path / "decisions.csv"


def test_decisions_are_audited(evenhand, decisions, tmp_path):
    columns = ("--label", "y", "--prediction", "p", "--group", "sex")
    done = evenhand("audit", decisions, *columns, "-o", tmp_path / "page")
    assert "sex" in done.stdout
    assert (tmp_path / "page" / "report.html").is_file()


def test_their_promise_is_watched(evenhand, decisions, tmp_path):
    columns = ("--label", "y", "--prediction", "p", "--group", "sex")
    evenhand("audit", decisions, *columns, "-o", tmp_path / "page")
    of_bound = ("--bound", "demographic_parity=0.2", "--prediction", "p")
    assert "kept" in evenhand("watch", tmp_path / "page", decisions, *of_bound).stdout


@pytest.fixture
def task(decisions, tmp_path):
    """A task file of a table with numbers, categories and missing values."""
    frame = pd.read_csv(decisions).head(1_000)
    rng = np.random.default_rng(1)
    frame["hours"] = frame["y"] + rng.normal(0, 1, len(frame))
    frame["town"] = rng.choice(["Ulm", "Bonn", None], len(frame))
    frame.drop(columns="p").to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "task.yaml").write_text(
        "task: table\ndata: people.csv\nlabel: y\ngroups: [sex]\nbound: {equalized_odds: 0.2}\n"
    )
    return tmp_path / "task.yaml"


def test_what_a_bound_costs_is_planned(evenhand, task, tmp_path):
    done = evenhand("plan", task, "-o", tmp_path / "price.html")
    assert "promised" in done.stdout
    assert (tmp_path / "price.html").is_file()


def test_a_plan_is_the_same_with_torch(evenhand, task, tmp_path, monkeypatch):
    import evenhand as eh

    found = json.loads(evenhand("plan", task, "--json", "-q").stdout)
    monkeypatch.chdir(tmp_path)
    table = eh.tasks.table("people.csv", label="y", groups="sex")
    peer = eh.plan(None, table, bound={"equalized_odds": 0.2})
    told = found["curves"]["equalized_odds"]["prices"]
    assert [one["error"] for one in told] == pytest.approx(
        [one.error for one in peer.curve.prices], nan_ok=True
    )


def test_a_network_is_said_to_be_needed(evenhand):
    done = evenhand("plan", "adult", codes=(1, 2))
    assert "torch is missing" in done.stderr


def test_a_task_file_is_begun(evenhand):
    assert "task: table" in evenhand("init", "table").stdout


def test_a_fit_says_what_it_needs(evenhand):
    done = evenhand("finetune", "adult", codes=(1, 2))
    assert "torch" in done.stderr
    assert "Traceback" not in done.stderr
