"""What works where torch is not installed."""

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


def test_a_task_file_is_begun(evenhand):
    assert "task: table" in evenhand("init", "table").stdout


def test_a_fit_says_what_it_needs(evenhand):
    done = evenhand("finetune", "adult", codes=(1, 2))
    assert "torch" in done.stderr
    assert "Traceback" not in done.stderr
