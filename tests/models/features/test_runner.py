"""Batches: halved where memory is full, grown where there is more, on any device."""

from threading import Event

import numpy as np
import pytest
import torch
from torch import nn

from evenhand.errors import InputError, ModelError
from evenhand.models import wrap
from evenhand.models.features.runner import Runner

ROWS = np.random.default_rng(0).normal(size=(70, 4)).astype(np.float32)


class Small(nn.Module):
    """A device's memory that holds ``room`` rows; told of every batch it saw."""

    def __init__(self, room):
        super().__init__()
        self.body, self.fc = nn.Linear(4, 3), nn.Linear(3, 2)
        self.room, self.batches = room, []

    def forward(self, x):
        if len(x) > self.room:
            raise torch.OutOfMemoryError(f"tried to allocate {len(x)} rows")
        self.batches.append(len(x))
        return self.fc(torch.relu(self.body(x)))


def runner_of(model, batch_size=None):
    return Runner(wrap(model, "fc"), list(ROWS), batch_size, "float32", None, 0.0)


def run(runner):
    told = []
    features, unreadable = runner.run(np.arange(len(ROWS)), told.append, len(ROWS))
    assert sum(told) == len(ROWS)
    assert not unreadable
    return features


@pytest.mark.parametrize("room", [1, 5, 16, 63, 64, 1000])
def test_a_batch_that_does_not_fit_is_halved_and_no_row_is_lost(room):
    torch.manual_seed(0)
    model = Small(room)
    features = run(runner_of(model))
    with torch.inference_mode():
        expected = torch.relu(model.body(torch.from_numpy(ROWS))).numpy()
    np.testing.assert_allclose(features, expected, atol=1e-6)
    assert max(model.batches) <= room


def test_one_input_too_large_is_said():
    with pytest.raises(ModelError, match=r"does not fit on cpu with a single input.*--device cpu"):
        run(runner_of(Small(0)))


def test_a_library_of_the_gpu_that_gets_no_memory_is_given_less():
    class Refused(Small):
        def forward(self, x):
            if len(x) > self.room:
                raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling create")
            return super().forward(x)

    model = Refused(16)
    run(runner_of(model))
    assert max(model.batches) == 16
    with pytest.raises(ModelError, match="does not fit on cpu with a single input: CUDA error"):
        run(runner_of(Refused(0)))


def test_batches_grow_on_a_gpu_until_its_memory_is_full():
    model = Small(100)
    runner = runner_of(model)
    runner._growing, runner._size = True, 4
    run(runner)
    assert model.batches == [4, 4, 8, 16, 32, 6]  # one is read ahead
    model = Small(10)
    runner = runner_of(model)
    runner._growing, runner._size = True, 4
    run(runner)
    assert max(model.batches) == 8


def test_a_size_asked_for_is_kept_to():
    model = Small(100)
    run(runner_of(model, 20))
    assert model.batches == [20, 20, 20, 10]


def test_the_next_part_is_read_while_one_is_taken():
    model = Small(100)
    read = Event()

    class Told(list):
        def __getitem__(self, row):
            if row == 30:
                read.set()
            return super().__getitem__(row)

    runner = Runner(wrap(model, "fc"), Told(ROWS), 10, "float32", None, 0.0)
    cut = [np.arange(0, 25), np.arange(25, 25), np.arange(25, 70)]
    taken = []
    for features, unreadable in runner.parts(cut, lambda _: None, len(ROWS)):
        if not taken:
            assert read.wait(60)  # the third part's inputs, while the first is written
        taken.append(features)
        assert not unreadable
    assert model.batches == [10, 10, 5, 10, 10, 10, 10, 5]  # of one part each
    assert [len(features) for features in taken] == [25, 0, 45]
    np.testing.assert_array_equal(np.concatenate(taken), run(runner))


def test_unreadable_rows_of_all_parts_count():
    class Broken(list):
        def __getitem__(self, row):
            if row % 10 == 3:
                raise OSError(f"file {row} is broken")
            return super().__getitem__(row)

    model = Small(100)

    def parts(share):
        runner = Runner(wrap(model, "fc"), Broken(ROWS), 8, "float32", None, share)
        return runner.parts(np.arange(70).reshape(7, 10), lambda _: None, 70)

    found = list(parts(0.1))
    assert [list(bad) for _, bad in found] == [[row] for row in range(3, 70, 10)]
    expected = run(runner_of(model, 8))
    expected[3::10] = 0
    np.testing.assert_allclose(np.concatenate([one for one, _ in found]), expected, atol=1e-6)
    with pytest.raises(InputError, match="5 inputs of 70 could not be read"):
        list(parts(4 / 70))


def test_a_failure_of_what_is_read_ends_the_road():
    class Failing(list):
        def __getitem__(self, row):
            raise KeyError(row)

    runner = Runner(wrap(Small(100), "fc"), Failing(ROWS), 8, "float32", None, 1.0)
    with pytest.raises(KeyError):
        run(runner)
