"""Batches of images are read a batch ahead, on other threads, and are the same."""

from threading import current_thread

import numpy as np
import pytest
import torch

from evenhand.finetuning.inmodel.batches import FixedBatches
from evenhand.groups import Groups
from evenhand.models.prepare import PrepareImages
from evenhand.tasks.task import Examples

N = 23


class Photos(list):
    def __init__(self, broken=()):
        draw = np.random.default_rng(0)
        super().__init__(draw.integers(0, 255, (N, 14, 12, 3), dtype=np.uint8))
        self.broken, self.threads, self.read = broken, set(), []

    def __getitem__(self, row):
        self.threads.add(current_thread().name)
        self.read.append(row)
        if row in self.broken:
            raise OSError(f"photo {row} is broken")
        return super().__getitem__(row)


def batches(photos, prepare):
    codes = np.arange(N) % 2
    examples = Examples(photos, codes, Groups(codes.copy(), ("a", "b")))
    return FixedBatches(examples, prepare, 5, seed=0)


def test_they_are_those_that_are_prepared_at_once():
    prepare, photos = PrepareImages(8), Photos()
    found = batches(photos, prepare)
    photos.threads.clear()
    read = list(found)
    assert current_thread().name not in photos.threads
    at_once = list(batches(Photos(), lambda images: prepare(images)))
    assert [len(batch.labels) for batch in read] == [5, 5, 5, 5, 3]
    for one, other in zip(read, at_once, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.labels, other.labels)
        assert one.groups == other.groups


def test_one_that_cannot_be_read_is_raised_in_its_turn():
    found = batches(Photos(), PrepareImages(8))
    bad = int(found.parts[3][2])
    found = batches(Photos((bad,)), PrepareImages(8))
    seen = []
    with pytest.raises(OSError, match=f"photo {bad} is broken"):
        seen.extend(len(batch.labels) for batch in found)
    assert seen == [5, 5, 5]
    found = batches(Photos(), PrepareImages(8))
    assert len(next(iter(found)).labels) == 5  # and no more is asked for
