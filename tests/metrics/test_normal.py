"""The normal distribution of the standard library against scipy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from evenhand.metrics.normal import normal_cdf, normal_inverse


@given(st.lists(st.floats(-40, 40), min_size=1, max_size=20))
def test_the_distribution_function_is_scipys(points):
    np.testing.assert_allclose(normal_cdf(points), ndtr(points), rtol=1e-11, atol=1e-300)
    assert normal_cdf(np.reshape(points, (1, -1))).shape == (1, len(points))


@given(st.floats(1e-300, 1, exclude_max=True))
def test_the_quantile_is_scipys(probability):
    assert normal_inverse(probability) == pytest.approx(ndtri(probability), rel=1e-12, abs=1e-15)


def test_the_ends():
    assert (normal_inverse(0), normal_inverse(1)) == (-np.inf, np.inf)
    np.testing.assert_array_equal(normal_cdf([-np.inf, np.inf, np.nan]), [0, 1, np.nan])
    assert np.isnan(normal_inverse(1.5))
    assert np.isnan(normal_inverse(np.nan))
