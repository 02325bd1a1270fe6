"""The widest gap of many groups against the comparison of every two."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.criteria import Criterion
from evenhand.metrics.rates import criterion_rates, gap, pairwise_gaps
from evenhand.metrics.widest import MANY, widest, worst


@given(
    st.integers(1, 6),
    st.integers(2, 3),
    st.sampled_from(["equalized_odds", "demographic_parity", "equal_opportunity"]),
    st.integers(0, 2**32 - 1),
)
def test_it_is_the_widest_of_every_two(groups, classes, name, seed):
    criterion = Criterion.parse(name)
    draw = np.random.default_rng(seed)
    table = draw.integers(0, 4, (3, groups, classes, classes)) * draw.integers(
        0, 2, (3, groups, 1, 1)
    )
    rates = criterion_rates(table, criterion)
    for how in ("sum", "mean", "max"):
        apart = np.abs(rates[..., :, None, :] - rates[..., None, :, :])
        figures = {"sum": np.sum, "mean": np.mean, "max": np.max}[how](apart, axis=-4)
        pairs = worst(figures, criterion)
        expected = worst(pairs[..., *np.triu_indices(groups, k=1)], criterion)
        np.testing.assert_allclose(widest(rates, how), expected, rtol=1e-12)


@pytest.mark.parametrize("criterion", ["equalized_odds", "demographic_parity", "equal_opportunity"])
def test_the_gap_of_many_groups_is_that_of_their_pairs(criterion):
    table = np.random.default_rng(0).integers(0, 9, (MANY + 20, 2, 2))
    table[3] = 0
    pairs = pairwise_gaps(table, criterion)
    assert float(gap(table, criterion)) == pytest.approx(np.nanmax(pairs), rel=1e-12)
