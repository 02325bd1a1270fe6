"""Intervals of a ratio of two rates."""

import numpy as np
import pytest

from evenhand.metrics import ratio_interval


def donner_and_zou(p1, l1, u1, p2, l2, u2):
    """The formula of the paper, as it is printed."""
    low = p1 * p2 - np.sqrt((p1 * p2) ** 2 - l1 * u2 * (2 * p1 - l1) * (2 * p2 - u2))
    high = p1 * p2 + np.sqrt((p1 * p2) ** 2 - u1 * l2 * (2 * p1 - u1) * (2 * p2 - l2))
    return low / (u2 * (2 * p2 - u2)), high / (l2 * (2 * p2 - l2))


def wilson(k, n, z=1.959963984540054):
    centre = (k / n + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(k / n * (1 - k / n) / n + z * z / (4 * n * n))
    return k / n, centre - half, centre + half


@pytest.mark.parametrize("counts", [(40, 100, 60, 100), (3, 20, 190, 400), (500, 900, 1, 2)])
def test_it_is_the_formula(counts):
    k1, n1, k2, n2 = counts
    low, high = ratio_interval(k1, n1, over=(k2, n2))
    assert (low, high) == pytest.approx(donner_and_zou(*wilson(k1, n1), *wilson(k2, n2)))


@pytest.mark.parametrize(("one", "other"), [(0.3, 0.3), (0.1, 0.4), (0.05, 0.02), (0.9, 0.95)])
def test_it_holds_the_truth_as_often_as_it_says(one, other):
    draw, n = np.random.default_rng(0), 400
    hits, base = draw.binomial(n, one, 3000), draw.binomial(n, other, 3000)
    ends = [ratio_interval(k, n, over=(b, n)) for k, b in zip(hits, base, strict=True)]
    held = np.mean([low <= one / other <= high for low, high in ends])
    assert 0.935 < held < 0.97


def test_ends_where_a_rate_is_0_or_has_no_rows():
    low, high = ratio_interval([0, 5, 0], [10, 10, 0], over=(0, 10))
    assert low[1] > 0
    assert np.isinf(high[:2]).all()
    assert np.isnan([low[2], high[2]]).all()
    low, high = ratio_interval([0, 10], [10, 10], over=(5, 10))
    assert low[0] == 0
    assert 0 < high[0] < 1
    assert low[1] > 1


def test_a_rate_over_itself_where_all_or_none_have_it():
    low, high = ratio_interval(10, 10, over=(10, 10))
    assert low == pytest.approx(donner_and_zou(*wilson(10, 10), *wilson(10, 10))[0])
    assert low < 1 < high
    low, high = ratio_interval(0, 10, over=(0, 10))
    assert np.isnan(low) or low == 0
    assert np.isinf(high)
