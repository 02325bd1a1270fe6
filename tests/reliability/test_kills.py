"""A process that dies at any write: the same command then ends as an unbroken run."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from faces import write_faces

HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
]


def schedule(folder, points, *arguments):
    """What became of a command killed at ``points`` of its writes, one run each."""
    done = subprocess.run(
        [sys.executable, str(HERE / "kill_server.py"), str(folder), str(points), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["whole"] == 0
    return told


def require_the_same(told):
    assert told["results"]
    for result in told["results"]:
        interrupted = result["sent"] == signal.SIGINT
        assert result["killed"] == (130 if interrupted else -signal.SIGKILL), result
        said = "interrupted; what was finished is kept, and the same command goes on from there"
        assert result["errors"].split("\n") == ([said, ""] if interrupted else [""]), result
        assert result["again"] == 0, result["said_again"] or result
        assert result["different"] == [], result
        assert result["wrong"] == [], result
        assert result["litter"] <= (not interrupted), result


def compared(tmp_path, points, number=36, methods="transfer"):
    faces = write_faces(tmp_path / "celeba", number)
    return schedule(
        tmp_path,
        points,
        *("compare", "celeba", "--data", str(faces), "--model", "faces:build"),
        *("--image-size", "16", "--methods", methods, "--seeds", "1", "--jobs", "1"),
        *("--quiet", "--output", "OUT", "--cache", "CACHE"),
    )


def test_a_comparison_killed_at_some_of_its_writes_ends_as_an_unbroken_one(tmp_path):
    told = compared(tmp_path, 8)
    assert told["steps"] > 40
    require_the_same(told)


def require_nothing_lost(told):
    """A full disk: said by name, with what to do; and once there is room, as if it had been."""
    assert told["results"]
    for result in told["results"]:
        assert result["killed"] == 2, result
        assert "No space left on device" in result["errors"], result
        assert "free some space and run the same command again" in result["errors"], result
        assert "Traceback" not in result["errors"], result
        assert result["again"] == 0, result["said_again"] or result
        assert result["different"] == [], result
        assert result["wrong"] == [], result
        assert result["litter"] == 0, result


def audited(tmp_path, points):
    rows = [f"{i % 2},{i % 3 % 2},{'ab'[i // 7 % 2]}" for i in range(400)]
    (tmp_path / "predictions.csv").write_text("\n".join(["y,yhat,sex", *rows]))
    return schedule(
        tmp_path,
        points,
        *("audit", str(tmp_path / "predictions.csv"), "--label", "y", "--prediction", "yhat"),
        *("--group", "sex", "--quiet", "--output", "OUT"),
    )


def test_a_comparison_on_a_full_disk_loses_nothing(tmp_path):
    require_nothing_lost(compared(tmp_path, "full:2"))


def test_an_audit_killed_or_on_a_full_disk_loses_nothing(tmp_path):
    for folder in ("killed", "full"):
        (tmp_path / folder).mkdir()
    require_the_same(audited(tmp_path / "killed", 4))
    require_nothing_lost(audited(tmp_path / "full", "full:2"))


@pytest.mark.soak
def test_a_comparison_on_twenty_full_disks(tmp_path):
    require_nothing_lost(compared(tmp_path, "full:20", 60, "transfer,svd,gap-eo"))


@pytest.mark.soak
def test_an_audit_killed_at_every_write(tmp_path):
    require_the_same(audited(tmp_path, "all"))


@pytest.mark.soak
def test_a_comparison_killed_at_every_write(tmp_path):
    require_the_same(compared(tmp_path, "all", 60, "transfer,svd,gap-eo"))


@pytest.mark.soak
def test_finetuning_killed_at_every_write(tmp_path):
    require_the_same(
        schedule(
            tmp_path,
            "all",
            *("finetune", "adult", "--strength", "1", "--quiet"),
            *("--output", "OUT", "--cache", "CACHE"),
        )
    )
