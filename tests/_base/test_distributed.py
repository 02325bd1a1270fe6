"""Any number of processes gives what one does (gloo, on this machine)."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from distributed_job import everything
from launched import run

from evenhand._base.distributed import ALONE, World, together

JOB = Path(__file__).parent / "distributed_job.py"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return everything(ALONE, tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.slow), 3])
@pytest.mark.whole
def test_every_process_has_what_one_alone_has(alone, tmp_path, size):
    run([sys.executable, str(JOB), str(tmp_path)], size)
    for rank in range(size):
        with np.load(tmp_path / f"rank{rank}.npz") as found:
            assert set(found) == set(alone)
            for name, expected in alone.items():
                if expected.dtype.kind in "U":
                    assert found[name] == expected, name
                else:
                    near = 1e-3 if name == "low rank" else 1e-6  # ends sooner than dense fits
                    near = 1e-5 if name.startswith("adapted") else near  # trained in float32
                    np.testing.assert_allclose(
                        found[name], expected, atol=near, rtol=near, err_msg=name
                    )
    shared = sorted(path.name for path in next((tmp_path / "shared").iterdir()).iterdir())
    assert sum(name.startswith("shard") for name in shared) == size
    assert not [name for name in shared if name.startswith(".")]


@pytest.mark.parametrize(
    ("gpus", "environment", "ways"),
    [
        (0, {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}, "gloo"),
        (1, {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}, "gloo"),
        (2, {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}, "cpu:gloo,cuda:nccl"),
        (2, {"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "2"}, "cpu:gloo,cuda:nccl"),
        (2, {"WORLD_SIZE": "8"}, "gloo"),
    ],
)
def test_gradients_meet_on_gpus_where_each_process_has_its_own(
    monkeypatch, gpus, environment, ways
):
    asked = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: True)
    monkeypatch.setattr(torch.distributed, "init_process_group", asked.append)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    for name, value in ({"RANK": "0"} | environment).items():
        monkeypatch.setenv(name, value)
    with together():
        assert asked == [ways]


def test_without_a_launcher_one_is_alone():
    with together() as world:
        assert world == World(0, 1)
        assert world.first
    assert ALONE.gather(np.arange(3))[0].tolist() == [0, 1, 2]
    assert [np.arange(7)[World(r, 3).share(7)].tolist() for r in range(3)] == [
        [0, 3, 6],
        [1, 4],
        [2, 5],
    ]


@pytest.mark.slow
def test_finetune_in_two_processes_writes_one_run(tmp_path):
    command = [sys.executable, "-m", "evenhand", "finetune", "adult", "--quiet", "--output"]
    run([*command, str(tmp_path / "two")], 2)
    run([*command, str(tmp_path / "one")], 1)
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name / "model").rglob("*.safetensors")
        }
        for name in ("one", "two")
    )
    assert len(one) == 2  # the backbone's and the readout's
    assert one == two


def test_the_pages_example_runs_alone_too(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "cluster.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if "def fit(" in block)
    names = {}
    exec(compile(block, "cluster.md", "exec"), names)
    rng = np.random.default_rng(0)
    sex = rng.integers(0, 2, 900)
    x = rng.normal(size=(900, 3)) + sex[:, None]
    labels = (x[:, 0] + rng.logistic(size=900) > 0.5).astype(int)
    evened = names["fit"](x, labels, np.array(["f", "m"])[sex], tmp_path)
    with np.load(tmp_path / "head.npz") as saved:
        np.testing.assert_array_equal(saved["weight"], evened.head.weight)
