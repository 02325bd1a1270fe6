"""What needs no model answers in an environment from which torch was removed."""

import subprocess
import sys

import pandas as pd
import pytest

BLOCKED = """
import sys


class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NoTorch())
from evenhand.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_audit_of_a_file(form, tmp_path):
    frame = pd.DataFrame({"y": [0, 1] * 300, "p": [0, 1, 1, 1] * 150, "sex": ["F", "M", "M"] * 200})
    data = tmp_path / f"decisions.{form}"
    frame.to_csv(data, index=False) if form == "csv" else frame.to_parquet(data, index=False)
    command = ["audit", data, "--label", "y", "--prediction", "p", "--group", "sex"]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *map(str, command), "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file()


def test_what_needs_torch_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, "init", "table"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# What to fine-tune")
