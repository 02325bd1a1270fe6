"""An even model's refusals against the normal distribution, and at the ends."""

import numpy as np
import pytest
from scipy.stats import norm

from evenhand.experiments.studies.even_model import refused_share
from evenhand.heads.selection.rule import Bound


def table(rows, rate):
    """Two groups of so many rows a label, and of each the same share decided 1."""
    ones = round(rows * rate)
    return np.array([[[rows - ones, ones], [ones, rows - ones]]] * 2)


@pytest.mark.parametrize("times", [1.2, 1.5, 2.0])
def test_of_a_selection_rate_it_is_what_the_normal_distribution_says(times):
    counted, z = table(2000, 0.3), 1.2816
    error = np.sqrt(2 * 0.25 / 4000)  # half of all rows are decided 1
    limit = times * z * error
    expected = 2 * norm.sf(z * (times - 1))
    found = refused_share(counted, Bound("demographic_parity", limit), z)
    assert found == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("times", [1.5, 2.0])
def test_of_a_sum_of_two_rates_it_is_what_normal_draws_say(times):
    counted, z = table(2000, 0.3), 1.2816
    error = np.sqrt(2 * 0.21 / 2000)
    limit = times * z * np.sqrt(2) * error
    draws = np.random.default_rng(1).standard_normal((100_000, 2))
    room = limit / error - z * np.sqrt(2)
    found = refused_share(counted, Bound("equalized_odds", limit), z)
    assert found == pytest.approx(np.mean(np.abs(draws).sum(axis=1) > room), abs=0.06)


def test_groups_that_differ_are_made_even_first():
    counted = np.array([[[900, 100], [100, 900]], [[500, 500], [500, 500]]])
    assert refused_share(counted, Bound("equalized_odds", 0.3), 1.645) == 0
    assert refused_share(counted, Bound("demographic_parity", 0.3), 1.645) == 0


def test_below_the_floor_it_is_always_refused_and_rows_too_few_are_not_compared():
    counted = table(200, 0.3)
    assert refused_share(counted, Bound("equalized_odds", 0.01), 1.645) == 1
    assert refused_share(counted, Bound("equalized_odds", 0.9), 1.645) == 0
    assert refused_share(counted, Bound("equalized_odds", 0.9), 1.645, min_rows=300) == 1


def test_a_label_that_nobody_has_is_no_error():
    counted = table(200, 0.3)
    counted[:, 1] = 0
    assert refused_share(counted, Bound("demographic_parity", 0.5), 1.645) == 0
