"""FairTrainer in two processes gives what one gives."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")
pytest.importorskip("accelerate")

sys.path.insert(0, str(Path(__file__).parents[1] / "_base"))

from test_distributed import run
from trainer_job import everything

pytestmark = pytest.mark.whole

JOB = Path(__file__).parent / "trainer_job.py"


@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true:UserWarning")
def test_two_processes_train_and_measure_as_one(tmp_path):
    alone = everything(tmp_path / "alone", 1)
    run([sys.executable, str(JOB), str(tmp_path)], 2)
    assert alone["rows_0 True"] + alone["rows_1 True"] == 101
    assert alone["delta_eo True"] > 0
    for rank in range(2):
        with np.load(tmp_path / f"rank{rank}.npz") as found:
            assert set(found) == set(alone)
            for name, expected in alone.items():
                near = 1e-2 if name == "logits True" else 1e-5  # Adam makes much of rounding
                np.testing.assert_allclose(found[name], expected, atol=near, err_msg=name)
