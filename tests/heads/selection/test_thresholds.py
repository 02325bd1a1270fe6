"""Thresholds: by a product or by search, the same counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evenhand.heads.selection.candidates import OFFSETS
from evenhand.heads.selection.thresholds import Thresholds

SPACED = [OFFSETS, (-0.2, 0.0, 0.2), (0.0, 1e-3), tuple(np.linspace(-7, 3, 11))]


def counted(offsets, odds):
    """By a loop over the thresholds, none of which is above NaN."""
    thresholds = [-offset for offset in offsets]
    return [sum(not one <= threshold for threshold in thresholds) for one in odds.tolist()]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("offsets", [*SPACED, (0.0,), (-1.0, 0.0, 3.0), (0.5, 0.5, 0.0)])
@given(data=st.data())
def test_thresholds_below_are_those_of_a_loop(offsets, dtype, data):
    of_any = st.floats(width=32, allow_nan=True, allow_infinity=True)
    at = st.sampled_from([-offset for offset in offsets])
    beside = st.builds(np.nextafter, at, st.sampled_from([-np.inf, np.inf]))
    odds = data.draw(arrays(np.float64, st.integers(0, 9), elements=of_any | at | beside))
    odds = odds.astype(dtype)
    assert Thresholds(offsets).below(odds).tolist() == counted(offsets, odds)


@pytest.mark.parametrize("offsets", SPACED)
def test_evenly_spaced_ones_are_known(offsets):
    assert Thresholds(offsets).even
    assert Thresholds(offsets[::-1]).even


@pytest.mark.parametrize("offsets", [(0.0,), (0.0, 0.0), (-1.0, 0.0, 3.0)])
def test_so_are_others(offsets):
    assert not Thresholds(offsets).even
