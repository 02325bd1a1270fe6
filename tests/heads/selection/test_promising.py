"""What candidates may be promised to keep: the choice among them costs, near the noise most."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evenhand.criteria import Criterion
from evenhand.heads.selection.promising import CHOSEN, NEAR_NOISE, kept_bounds, with_choice
from evenhand.heads.selection.rule import Rule
from evenhand.metrics.bounds import noise_floor, upper_bound

EO = Criterion.EQUALIZED_ODDS
TABLES = arrays(np.int64, (5, 2, 2, 2), elements=st.integers(100, 400))


def test_a_choice_stands_a_tenth_of_a_standard_error_farther_off():
    rule = Rule(confidence=0.9)
    assert with_choice(1.2816, rule) == pytest.approx(1.2816 + CHOSEN, abs=1e-4)
    assert with_choice(1.6449, rule) == 1.6449
    assert with_choice(1.2, Rule(critical="resampled")) == 1.2


@settings(max_examples=40, deadline=None)
@given(TABLES, st.lists(st.booleans(), min_size=5, max_size=5))
def test_near_the_noise_no_merge_of_a_paths_head_is_promised(tables, moved):
    """By a loop over candidates and bounds: a promise is monotone in the bound."""
    kept = kept_bounds(tables, EO, Rule(), 1.4, moved=np.array(moved), transfer=0)
    near = NEAR_NOISE * noise_floor(tables[0], EO, 1.4, 100)
    for one, is_moved, found in zip(tables, moved, kept, strict=True):
        own = float(upper_bound(one, EO, 1.4, 100))
        for bound in np.linspace(0.01, 1.9, 20):
            assert (found <= bound) == (own <= bound and (bound >= near or not is_moved))


@pytest.mark.parametrize(
    ("criterion", "critical"),
    [(EO, "resampled"), (EO, "small cells"), (Criterion.parse("worst_group_accuracy"), "quantile")],
)
def test_where_resampling_accounts_for_merges_or_equal_rates_are_no_aim_all_are(
    criterion, critical
):
    tables = np.random.default_rng(0).integers(100, 400, size=(6, 2, 2, 2))
    rule = Rule(critical=critical)
    kept = kept_bounds(tables, criterion, rule, 1.3, moved=np.ones(6, dtype=bool), transfer=0)
    bound = upper_bound(tables, criterion, 1.3, 100)
    assert kept == pytest.approx(bound if criterion.kind == "gap" else criterion.highest - bound)
