"""A small hidden layer, for those that move it."""

import numpy as np
import pytest

from evenhand.heads.adapter import Hidden


@pytest.fixture
def layer():
    rng = np.random.default_rng(2)
    return Hidden(rng.normal(size=(5, 8)), rng.normal(size=8))
