"""The evenly spread draws behind the intervals are those of scipy's own sequence."""

import numpy as np
from scipy.stats import norm, qmc

from evenhand.metrics.gap_intervals import POINTS, _normals


def test_the_draws_are_sobols():
    uniform = qmc.Sobol(2, scramble=False).random(POINTS)
    expected = norm.ppf(uniform + 0.5 / POINTS)
    ours = _normals()
    assert ours.shape == expected.shape
    in_order = [np.array(sorted(map(tuple, points))) for points in (ours, expected)]
    np.testing.assert_allclose(*in_order, rtol=1e-13, atol=1e-15)  # another library's quantile
