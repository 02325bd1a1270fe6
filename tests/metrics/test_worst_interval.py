import numpy as np
import pytest

from evenhand.criteria import BUILT_IN, STANDARD, Criterion
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.rates import gap

APART = np.array([[0.42, 0.08, 0.1, 0.4], [0.35, 0.15, 0.1, 0.4], [0.3, 0.2, 0.15, 0.35]])
EVEN = np.repeat(APART[1:2], 3, axis=0)
ROWS = 200  # of each group: about 100 a cell


def coverage(shares, criterion, uses, groups=3):
    rng = np.random.default_rng(0)
    shares = shares[:groups]
    truth, held = float(gap(shares.reshape(-1, 2, 2), criterion)), 0
    for _ in range(uses):
        drawn = np.stack([rng.multinomial(ROWS, one).reshape(2, 2) for one in shares])
        _, low, high = gap_interval(drawn, criterion, replicates=300)
        held += low - 1e-9 <= truth <= high + 1e-9
    return held / uses


NEW = [criterion for criterion in BUILT_IN if criterion not in STANDARD]


@pytest.mark.parametrize("criterion", ["wga", "wge", "wca"])
@pytest.mark.parametrize("shares", [APART, EVEN], ids=["apart", "even"])
def test_the_interval_of_the_worst_group_covers_the_truth(criterion, shares):
    # 150 draws: 0.95 ± 3 standard errors
    assert 0.9 <= coverage(shares, criterion, 150) <= 1


@pytest.mark.parametrize("criterion", NEW)
def test_the_interval_of_every_criterion_covers_the_truth(criterion):
    assert 0.8 <= coverage(APART, criterion, 20, groups=2) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("criterion", NEW)
@pytest.mark.parametrize("shares", [APART, EVEN], ids=["apart", "even"])
@pytest.mark.parametrize("groups", [2, 3])
def test_the_interval_of_every_criterion_covers_the_truth_in_93_to_97_percent(
    criterion, shares, groups
):
    assert 0.92 <= coverage(shares, criterion, 1_000, groups) <= 0.98


@pytest.mark.parametrize("criterion", BUILT_IN)
def test_every_interval_holds_its_estimate_and_stays_in_range(criterion):
    rng = np.random.default_rng(1)
    for _ in range(4):
        table = rng.integers(0, 30, (3, 2, 2)) * (rng.random((3, 2, 2)) > 0.2)
        estimate, low, high = gap_interval(table, criterion, replicates=100)
        if not np.isnan(estimate):
            assert 0 <= low <= estimate <= high <= criterion.highest


def test_a_worst_group_that_is_far_below_has_the_interval_of_its_own_rate():
    """As a share of 60 of 100 would have: 0.5 to 0.69."""
    table = np.array([[[30, 20], [20, 30]], [[495, 5], [5, 495]]])
    estimate, low, high = gap_interval(table, Criterion.parse("worst_group_accuracy"))
    assert estimate == 0.6
    assert (low, high) == pytest.approx((0.50, 0.69), abs=0.02)
