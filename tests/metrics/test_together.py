"""Several promises at once, against another library, by simulation and by the bound itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import false_discovery_control

from evenhand.errors import InputError
from evenhand.metrics import upper_bound
from evenhand.metrics.together import each_confidence, holm, kept_p_value

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def stepwise(p_values: list[float], level: float) -> set[int]:
    """Holm's method as published: the smallest left against level / (how many are left)."""
    left, rejected = dict(enumerate(p_values)), set()
    while left:
        least = min(left, key=lambda place: (left[place], place))
        if left[least] > level / len(left):
            break
        rejected.add(least)
        del left[least]
    return rejected


@given(P_VALUES, st.floats(0.001, 0.4))
def test_adjusted_p_values_reject_what_the_steps_reject(p_values, level):
    adjusted = holm(p_values)
    near = np.isclose(adjusted, level, rtol=1e-9)
    found = {int(place) for place in np.flatnonzero(adjusted <= level)}
    assert near.any() or found == stepwise(p_values, level)


@given(P_VALUES)
def test_holm_lies_between_the_plain_and_the_bonferroni(p_values):
    plain, adjusted = np.array(p_values), holm(p_values)
    assert (adjusted >= plain).all()
    assert (adjusted <= np.minimum(len(plain) * plain, 1) + 1e-12).all()
    assert (adjusted >= false_discovery_control(plain) - 1e-12).all()


@pytest.mark.parametrize("wrong", [[1.5], [-0.1], [float("nan")], [[0.1]]])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(InputError, match="p-values"):
        holm(wrong)


@given(
    st.lists(st.integers(1, 60), min_size=8, max_size=8),
    st.floats(0.05, 0.9),
    st.sampled_from(["demographic_parity", "equalized_odds", "worst_group_accuracy"]),
)
def test_the_p_value_is_the_level_at_which_the_bound_meets_the_limit(cells, limit, criterion):
    table = np.array(cells).reshape(2, 2, 2)
    p = kept_p_value(table, criterion, limit)
    if not 1e-6 < p < 0.999:
        return
    bound = float(upper_bound(table, criterion, float(ndtri(1 - p))))
    assert bound == pytest.approx(limit, abs=1e-8)


def test_a_gap_without_rows_is_shown_by_none():
    assert kept_p_value(np.zeros((2, 2, 2)), "equalized_odds", 0.5) == 1


def test_promises_hold_together_at_the_shared_confidence_and_not_by_holms_steps():
    """Each label has heads of every gap down to a least one; the cheapest within is promised.

    Nine labels have a fair head; the tenth has none below the bound, and is not to be promised.
    """
    rng = np.random.default_rng(0)
    draws, number, level = 40_000, 10, 0.1
    noise = rng.normal(size=(draws, number))
    least = np.array([-20.0] * (number - 1) + [0.0])  # gap less the bound, in standard errors
    z_each = ndtri(each_confidence(1 - level, number))

    def promised_and_broken(z):
        """The chosen head's gap is as large as its bound lets it be, and no less than the least."""
        promised = least + noise + z <= 0
        return promised, promised & (np.maximum(-z - noise, least) > -1e-12)

    promised, broken = promised_and_broken(z_each)
    assert broken.any(axis=1).mean() == pytest.approx(level, abs=0.01)

    left = number - promised.sum(axis=1)
    again, broken_again = promised_and_broken(
        ndtri(1 - level / np.maximum(left, 1))[:, None] * np.ones(number)
    )
    stepped = broken | (~promised & again & broken_again)
    assert stepped.any(axis=1).mean() > 1.6 * level


def test_a_confidence_out_of_range_is_refused():
    with pytest.raises(InputError, match="confidence"):
        each_confidence(0.4, 2)
    with pytest.raises(InputError, match="confidence"):
        each_confidence(0.9, 0)
