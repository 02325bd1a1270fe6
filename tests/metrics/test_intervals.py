import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.metrics import Counts, intervals
from evenhand.metrics.intervals import error_interval, gap_interval, rate_interval
from evenhand.metrics.rates import f1_error, gap

# rows of (group, label) of 5,000, and the share of each that is decided positive
POPULATIONS = {
    "both gaps 0": ([[1700, 800], [1700, 800]], [[0.1, 0.6], [0.1, 0.6]]),
    "both near 0": ([[1700, 800], [1700, 800]], [[0.1, 0.6], [0.105, 0.61]]),
    "one of two is 0": ([[1700, 800], [1700, 800]], [[0.1, 0.6], [0.2, 0.6]]),
    "like Adult": ([[1500, 160], [2300, 1040]], [[0.03, 0.52], [0.10, 0.62]]),
    "small cells, 0": ([[3900, 900], [100, 100]], [[0.1, 0.6], [0.1, 0.6]]),
}
MANY = {
    "four groups, 0": ([[1000, 500], [700, 300], [1200, 300], [600, 400]], [[0.1, 0.6]] * 4),
    "four groups": (
        [[1000, 500], [700, 300], [1200, 300], [600, 400]],
        [[0.1, 0.6], [0.12, 0.65], [0.08, 0.55], [0.15, 0.7]],
    ),
}


def coverage(population, criterion, draws, seed=0):
    cells, rates = (np.array(part) for part in population)
    rng = np.random.default_rng(seed)
    shares = cells / cells.sum()
    truth = gap(np.stack([shares * (1 - rates), shares * rates], axis=-1), criterion)
    held = 0
    for _ in range(draws):
        n = rng.multinomial(cells.sum(), shares.ravel()).reshape(cells.shape)
        k = rng.binomial(n, rates)
        _, low, high = gap_interval(np.stack([n - k, k], axis=-1), criterion)
        held += low <= truth + 1e-9 and high >= truth
    return held / draws


@pytest.mark.parametrize("criterion", ["dp", "eo"])
@pytest.mark.parametrize("name", POPULATIONS)
def test_the_interval_of_a_gap_covers_the_truth(name, criterion):
    # 200 draws: 0.95 ± 3.5 standard errors
    assert 0.895 <= coverage(POPULATIONS[name], criterion, 200) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("criterion", list(Criterion))
@pytest.mark.parametrize("name", POPULATIONS)
def test_the_interval_of_a_gap_covers_the_truth_in_93_to_97_percent(name, criterion):
    assert 0.93 <= coverage(POPULATIONS[name], criterion, 1000) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["dp", "eo"])
@pytest.mark.parametrize("name", MANY)
def test_the_interval_of_the_largest_of_many_gaps_covers_the_truth(name, criterion):
    assert 0.92 <= coverage(MANY[name], criterion, 500) <= 0.99


def test_many_groups_cover_quickly():
    assert coverage(MANY["four groups"], "eo", 30) >= 0.8


def test_the_interval_of_two_groups_resamples_nothing(monkeypatch):
    table = np.array([[[1455, 45], [77, 83]], [[2070, 230], [395, 645]]])
    expected = gap_interval(table, "eo")
    monkeypatch.setattr(intervals, "_resampled", None)
    assert gap_interval(table, "eo", seed=1, replicates=10**9) == expected
    with pytest.raises(TypeError):
        gap_interval(np.concatenate([table, table + 1]), "eo", seed=1)


def test_equal_rates_give_an_interval_that_starts_at_zero():
    table = np.array([[[90, 10], [40, 60]], [[900, 100], [400, 600]]])
    for criterion in Criterion:
        estimate, low, high = gap_interval(table, criterion)
        assert low == 0
        assert high > max(estimate, 0.01)


def test_a_clear_gap_gives_an_interval_that_excludes_zero():
    table = np.array([[[900, 100], [400, 600]], [[500, 500], [100, 900]]])
    for criterion in Criterion:
        assert gap_interval(table, criterion).low > 0.2


tables = st.tuples(st.integers(1, 4), st.integers(2, 3)).flatmap(
    lambda gk: arrays(np.int64, (gk[0], gk[1], gk[1]), elements=st.integers(0, 60))
)


@settings(deadline=None, max_examples=60)
@given(tables, st.sampled_from(list(Criterion)))
def test_the_interval_holds_its_estimate_and_stays_in_range(table, criterion):
    estimate, low, high = gap_interval(table, criterion, replicates=200)
    assert np.array_equal(estimate, gap(table, criterion), equal_nan=True)
    if np.isnan(estimate):
        assert np.isnan(low)
        assert np.isnan(high)
    else:
        assert 0 <= low <= estimate <= high <= 2


def test_the_same_seed_gives_the_same_interval():
    table = np.random.default_rng(0).integers(20, 90, (3, 3, 3))
    assert gap_interval(table, "eo", seed=4) == gap_interval(table, "eo", seed=4)


def test_tables_of_expected_counts_are_allowed():
    table = np.array([[[90.5, 9.5], [40.25, 59.75]], [[899.5, 100.5], [400.0, 600.0]]])
    whole = gap_interval(np.round(table), "dp")
    assert np.allclose(gap_interval(table, "dp"), whole, atol=0.01)
    assert error_interval(table).low < error_interval(table).high


def test_groups_without_rows_are_left_out():
    table = np.zeros((3, 2, 2), dtype=int)
    table[:2] = [[[90, 10], [40, 60]], [[80, 20], [30, 70]]]
    assert gap_interval(table, "eo") == gap_interval(table[:2], "eo")


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_rate_intervals_are_wilsons(case):
    hits, rows = case
    oracle = binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    low, high = rate_interval(hits, rows)
    assert np.allclose([low, high], [oracle.low, oracle.high], atol=1e-9)


def test_a_rate_without_rows_has_no_interval():
    low, high = rate_interval([0, 1], [0, 2])
    assert np.isnan([low[0], high[0]]).all()
    assert 0 < low[1] < 0.5 < high[1] < 1


def test_the_error_interval_is_as_wide_as_sampling_the_rows_again():
    rng = np.random.default_rng(0)
    share = np.array([[0.7, 0.05], [0.1, 0.15]])
    errors = f1_error(rng.multinomial(2000, share.ravel(), 3000).reshape(-1, 2, 2))
    interval = error_interval(np.round(share * 2000).astype(int))
    expected = np.quantile(errors, 0.975) - np.quantile(errors, 0.025)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.1)


def test_counts_are_read_with_their_unknown_rows():
    counts = Counts(
        np.array([[[9, 1], [2, 8]]]), np.array([[50, 0], [0, 50]]), ("F",), ("no", "yes")
    )
    assert error_interval(counts, "accuracy").estimate == pytest.approx(100 * 3 / 120)
    assert np.isnan(gap_interval(counts, "dp").estimate)


def test_bad_levels_and_shapes_are_refused():
    with pytest.raises(InputError, match="between 0 and 1"):
        gap_interval(np.ones((2, 2, 2)), "dp", level=95)
    with pytest.raises(InputError, match="shape"):
        gap_interval(np.ones((2, 2)), "dp")


def test_very_many_cells_have_a_gap_and_no_interval():
    table = np.full((6000, 2, 2), 3)
    table[0, 1] = [0, 6]
    estimate, low, high = gap_interval(table, "equal_opportunity")
    assert estimate == 0.5
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rate_interval([1, 3], [2, 2]), "3 of 2 rows is no rate"),
        (lambda: rate_interval([-1], [2]), "-1 of 2 rows"),
        (lambda: rate_interval([np.nan], [2]), "nan of 2 rows"),
        (lambda: rate_interval([1], [np.inf]), "1 of inf rows"),
        (lambda: rate_interval([1], [2], 1.0), "level of an interval lies between 0 and 1"),
        (
            lambda: gap_interval(np.full((2, 2, 2), -1), "eo"),
            "8 counts .* negative, not finite or above 1e\\+15",
        ),
        (lambda: gap_interval(np.full((2, 2, 2), np.nan), "eo"), "8 counts"),
        (lambda: gap_interval(np.ones((2, 2, 3)), "eo"), r"\(G, K, K\), found \(2, 2, 3\)"),
        (lambda: gap_interval(np.ones((2, 2)), "eo"), r"found \(2, 2\)"),
        (lambda: gap_interval(np.ones((3, 2, 2)), "eo", replicates=0), "1 replicate at least"),
        (lambda: gap_interval(np.ones((2, 2, 2)), "eo", level=0), "level"),
        (lambda: gap_interval(np.ones((2, 2, 2)), "eo", level=1e-30), "level"),
        (lambda: error_interval(np.ones((2, 2)), level=2), "level"),
        (lambda: error_interval(np.ones((2, 2)), replicates=0), "1 replicate"),
        (lambda: error_interval(np.array([[1, np.inf], [0, 1]])), "1 counts"),
        (lambda: error_interval(np.ones(4)), r"found \(4,\)"),
    ],
)
def test_what_has_no_interval_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_expected_counts_may_be_off_by_rounding():
    low, high = rate_interval([2 + 1e-13, -1e-13], [2, 2])
    assert high[0] == 1
    assert low[1] == 0
