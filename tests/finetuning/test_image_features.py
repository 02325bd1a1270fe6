"""Images to decide are read on many threads: the same features, the unreadable told apart."""

from threading import current_thread

import numpy as np
import torch
from torch import nn

from evenhand.finetuning.image_features import image_features
from evenhand.models import wrap
from evenhand.models.prepare import PrepareImages


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.body(x).mean((2, 3)))


class Photos(list):
    def __init__(self, images):
        super().__init__(images)
        self.read_by = {}

    def __getitem__(self, row):
        self.read_by.setdefault(row, set()).add(current_thread().name)
        if row == 7:
            raise OSError("photo 7 is broken")
        return super().__getitem__(row)


def test_features_are_those_of_one_batch_after_the_other():
    draw = np.random.default_rng(0)
    photos = Photos(draw.integers(0, 255, (40, 20, 16, 3), dtype=np.uint8))
    torch.manual_seed(0)
    backbone = wrap(Net().train(), "fc", prepare=PrepareImages(12))
    rows = [row for row in range(40) if row not in (2, 3)]
    found, bad = image_features(backbone, photos, rows, 16)
    assert all(names != {current_thread().name} for names in photos.read_by.values())
    assert bad == {7: "photo 7 is broken"}
    good = [place for place, row in enumerate(rows) if row != 7]
    expected = backbone.features([photos[row] for row in rows if row != 7]).numpy()
    np.testing.assert_allclose(found[good], expected, atol=1e-6)
    assert not found[rows.index(7)].any()
    assert backbone.model.training
