import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.experiments.compare.statistics import mean_interval
from evenhand.experiments.paper.verdicts import (
    Evidence,
    Kind,
    Verdict,
    judge,
    overall,
    welch_interval,
)

numbers = st.floats(-10, 10)


@pytest.mark.parametrize(
    ("interval", "kind", "verdict"),
    [
        ((-0.01, -0.015, -0.005), Kind.LOWER, Verdict.EQUIVALENT),
        ((-0.05, -0.08, -0.02), Kind.LOWER, Verdict.REPRODUCES),
        ((-0.05, -0.08, -0.02), Kind.HIGHER, Verdict.FAILS),
        ((0.05, 0.02, 0.08), Kind.HIGHER, Verdict.REPRODUCES),
        ((-0.05, -0.12, 0.02), Kind.LOWER, Verdict.FAILS),
        ((0.05, 0.03, 0.07), Kind.CHANGES, Verdict.REPRODUCES),
        ((0.0, -0.01, 0.01), Kind.CHANGES, Verdict.EQUIVALENT),
        ((-0.3, -0.4, -0.2), Kind.KEPT, Verdict.REPRODUCES),
        ((0.01, 0.0, 0.03), Kind.KEPT, Verdict.FAILS),
        ((0.01, 0.0, 0.015), Kind.SAME, Verdict.REPRODUCES),
        ((0.1, 0.09, 0.11), Kind.SAME, Verdict.FAILS),
        ((-0.1, -0.3, 0.1), Kind.BELOW, Verdict.REPRODUCES),
        ((0.1, np.nan, np.nan), Kind.LOWER, Verdict.NOT_RUN),
    ],
)
def test_the_rule_gives_the_stated_verdict(interval, kind, verdict):
    assert judge(interval, kind, 0.02) is verdict


@settings(deadline=None)
@given(st.lists(numbers, min_size=2, max_size=20), st.sampled_from(list(Kind)))
def test_shifting_down_never_hurts_a_claim_of_lower_and_all_have_a_verdict(values, kind):
    interval = mean_interval(values)
    assert isinstance(judge(interval, kind, 0.02), Verdict)
    shifted = mean_interval([value - 30 for value in values])
    if max(values) - min(values) < 1e-3:
        assert judge(shifted, Kind.LOWER, 0.02) is Verdict.REPRODUCES


@settings(deadline=None)
@given(st.lists(numbers, min_size=2, max_size=30))
def test_the_interval_holds_the_mean_and_is_that_of_a_t_test(values):
    from scipy import stats

    mean, low, high = mean_interval(values)
    assert low <= mean <= high
    if np.ptp(values) > 1e-6:
        found = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert (low, high) == pytest.approx((found.low, found.high), abs=1e-6)


def test_missing_values_are_left_out_and_one_value_has_no_interval():
    mean, low, _ = mean_interval([1.0, np.nan])
    assert mean == 1.0
    assert np.isnan(low)
    assert all(np.isnan(v) for v in mean_interval([]))


def test_two_samples_of_one_mean_differ_by_nothing():
    values = np.array([1.0, 2.0, 3.0])
    mean, low, high = welch_interval(values, values)
    assert mean == 0
    assert low == pytest.approx(-high)
    assert np.isnan(welch_interval(values, values[:1])[1])


def line(differences, why_not=""):
    return Evidence("c", "x", "error", "", "", differences, Kind.LOWER, 0.25, why_not)


def test_a_claim_has_the_verdict_of_most_lines_run_and_in_a_tie_the_less_favourable():
    good, none = line([-1.0, -1.1, -0.9]), line([], "no weights")
    bad = line([1.0, 1.1, 0.9])
    assert overall([good, none]) is Verdict.REPRODUCES
    assert overall([good, bad, none]) is Verdict.FAILS
    assert overall([good, bad, good]) is Verdict.REPRODUCES
    assert overall([none]) is Verdict.NOT_RUN
    assert none.remark == "no weights"
    assert line([1.0]).remark == "one seed gives no interval"
    assert "do not settle" in line([-2.0, 2.0, 0.5]).remark
