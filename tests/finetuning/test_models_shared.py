"""Models below the head, dealt out among processes: the same in each as one process trains."""

import sys
from pathlib import Path

import numpy as np
import pytest
from launched import run
from trained_job import everything

from evenhand._base.distributed import ALONE, World
from evenhand.finetuning.models_shared import _maker
from evenhand.finetuning.train_folds import EPOCHS, FOLDS

JOB = Path(__file__).parent / "trained_job.py"


@pytest.mark.whole
@pytest.mark.parametrize("size", [2, 3])
def test_every_process_has_the_models_of_one_alone(tmp_path, monkeypatch, size):
    from evenhand.finetuning import train_folds

    run([sys.executable, str(JOB), str(tmp_path)], size)
    monkeypatch.setattr(train_folds, "RATE", train_folds.RATE)
    alone = everything(ALONE)
    assert len(alone) > 40
    for rank in range(size):
        with np.load(tmp_path / f"rank{rank}.npz") as found:
            assert set(found) == set(alone)
            for name, expected in alone.items():
                np.testing.assert_allclose(
                    found[name], expected, atol=1e-5, rtol=1e-5, err_msg=name
                )
        told = (tmp_path / f"rank{rank}.txt").read_text()
        assert "the loss is no longer finite" in told
    for which in ("last-layer", "all"):
        assert alone[f"{which}: epochs"] == (FOLDS + 1) * EPOCHS[which]


def test_the_model_that_is_shipped_is_made_by_the_first_process():
    for size in range(2, 7):
        makers = [_maker(at, FOLDS + 1, World(0, size)) for at in range(FOLDS + 1)]
        assert makers[-1] == 0
        assert len(set(makers)) == min(size, FOLDS + 1)
