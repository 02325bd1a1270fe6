"""Training that is stopped between epochs ends as if it had not been."""

import numpy as np
import pytest
import torch
from torch import nn

import evenhand as eh
from evenhand.errors import InputError


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))


def rows(seed=0):
    draw = np.random.default_rng(seed)
    inputs, groups = draw.normal(size=(300, 4)).astype(np.float32), draw.choice(["F", "M"], 300)
    return inputs, (inputs[:, 0] + (groups == "M") > 0.3).astype(int), groups


class Stopped(Exception):
    pass


def adapted(data, **options):
    asked = {"target_modules": ["0"], "rank": None, "epochs": 4, "batch_size": 50}
    return eh.adapt(net(), data, **asked | {"learning_rate": 1e-2} | options)


@pytest.mark.parametrize("rank", [None, 2])
def test_what_was_stopped_goes_on_to_the_same_model(tmp_path, rank):
    kept, seen = tmp_path / "last.safetensors", []

    def stop(epoch):
        seen.append(epoch.number)
        if epoch.number == 2:
            raise Stopped

    with pytest.raises(Stopped):
        adapted(rows(), rank=rank, checkpoint=kept, on_epoch=stop)
    assert kept.is_file()
    again = adapted(rows(), rank=rank, checkpoint=kept, on_epoch=lambda e: seen.append(e.number))
    assert seen == [1, 2, 3, 4]
    assert not kept.exists()
    whole = adapted(rows(), rank=rank)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_another_s_checkpoint_is_refused_and_left(tmp_path):
    kept = tmp_path / "last.safetensors"

    def stop(epoch):
        raise Stopped

    with pytest.raises(Stopped):
        adapted(rows(), checkpoint=kept, on_epoch=stop)
    before = kept.read_bytes()
    for change in ({"learning_rate": 2e-2}, {"strength": 2.0}, {"seed": 1}):
        with pytest.raises(InputError, match="another model, rows or settings"):
            adapted(rows(), checkpoint=kept, **change)
    with pytest.raises(InputError, match="another model, rows or settings"):
        adapted(rows(1), checkpoint=kept)
    assert kept.read_bytes() == before
    kept.write_bytes(before[:100])
    with pytest.raises(InputError, match="is no checkpoint: remove it"):
        adapted(rows(), checkpoint=kept)
