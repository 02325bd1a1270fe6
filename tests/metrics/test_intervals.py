import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binom, binomtest, foldnorm, norm

from evenhand.criteria import STANDARD, Criterion
from evenhand.errors import InputError
from evenhand.metrics import Counts, intervals, largest_gap
from evenhand.metrics import gap_intervals as whole
from evenhand.metrics.gap_intervals import gap_interval
from evenhand.metrics.intervals import error_interval, rate_interval
from evenhand.metrics.rates import criterion_rates, f1_error, gap

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


TWO = {
    "far apart": [[[900, 100], [400, 600]], [[500, 500], [100, 900]]],
    "hardly apart": [[[90, 10], [60, 40]], [[860, 140], [540, 460]]],
    "small cells": [[[9, 3], [4, 7]], [[30, 2], [3, 30]]],
    "even": [[[90, 10], [40, 60]], [[900, 100], [400, 600]]],
    "even positives": [[[900, 100], [400, 600]], [[700, 300], [402, 598]]],
    "even negatives": [[[900, 100], [400, 600]], [[898, 102], [200, 800]]],
}


def of_one(first, second, level):
    """The gap of two rates (hits, rows), and the p-value of a true gap: |N(gap, se)| as far off.

    The standard errors are Newcombe's, from Wilson's intervals.
    """
    parts = []
    for hits, rows in sorted((first, second), key=lambda part: (-part[0] / part[1], part[1])):
        ends = binomtest(int(hits), int(rows)).proportion_ci(level, method="wilson")
        parts.append((hits / rows, ends.low, ends.high))
    (top, top_low, top_high), (bottom, bottom_low, bottom_high) = parts
    z = norm.ppf((1 + level) / 2)
    inwards = np.hypot(top - top_low, bottom_high - bottom) / z
    outwards = np.hypot(top_high - top, bottom - bottom_low) / z

    def p(gap):
        error = inwards if gap < top - bottom else outwards
        centre, beyond = gap / error, abs(top - bottom - gap) / error
        shares = foldnorm.cdf([centre - beyond, centre + beyond], centre)
        return 1 - (shares[1] - shares[0])

    return top - bottom, p


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("name", TWO)
@pytest.mark.parametrize("criterion", ["dp", "eopp"])
def test_the_interval_of_one_difference_is_what_the_folded_normal_does_not_reject(
    criterion, name, level
):
    table = np.array(TWO[name])
    parts = table[:, 1] if criterion == "eopp" else table.sum(axis=1)
    size, p = of_one(*((part[1], part.sum()) for part in parts), level)
    expected = [
        end if p(end) >= 1 - level else brentq(lambda gap: p(gap) - (1 - level), *sorted(ends))
        for end, ends in ((0, (0, size)), (1, (size, 1)))
    ]
    found = gap_interval(table, criterion, level=level)
    assert found.estimate == pytest.approx(size)
    assert found.low == pytest.approx(expected[0], abs=size / 6000)
    assert found.high == pytest.approx(expected[1], abs=(1 - size) / 6000)


@pytest.mark.parametrize("name", TWO)
def test_the_interval_of_two_differences_is_what_their_simulation_does_not_reject(name):
    """The nearest point with that gap is looked for on a grid, the p-value simulated anew."""
    table = np.array(TWO[name])
    level = 0.9
    signed = whole._signed(table.astype(float), Criterion.EQUALIZED_ODDS, level)
    for row, label in zip(signed, (1, 0), strict=True):
        size, p = of_one(*((part[1], part.sum()) for part in table[:, label]), level)
        assert row[0] == pytest.approx(size)
        for off in (-1, 1):  # one standard error inwards or outwards is where p is .32
            gap_there = size + off * row[1 if off < 0 else 2]
            if gap_there > 2 * row[1]:
                assert p(gap_there) == pytest.approx(0.317, abs=0.01)
    drawn = np.random.default_rng(0).standard_normal((4000, 1, 2))
    share = np.linspace(0, 1, 401)

    def squared(points, total, error):
        grid = np.stack([share * total, (1 - share) * total], axis=-1)
        distances = (((points - grid) / error) ** 2).sum(axis=-1)
        return distances.min(axis=-1), grid[distances.argmin(axis=-1)]

    def p_value(total):
        error = signed[:, 1 if total < signed[:, 0].sum() else 2]
        observed, nearest = squared(signed[None, :, 0], total, error)
        small = nearest < error / 2
        if small.sum() == 1:
            nearest = np.where(small, 0, total)
        simulated, _ = squared(np.abs(nearest + drawn * error), total, error)
        return (simulated >= observed).mean()

    estimate, low, high = gap_interval(table, "eo", level=level)
    step = max(estimate / 20, 0.01)
    assert low == 0 or p_value(low) == pytest.approx(1 - level, abs=0.025)
    assert low > 0 or p_value(1e-3) >= 1 - level - 0.025
    assert p_value(high) == pytest.approx(1 - level, abs=0.025)
    assert p_value(high + step) < 1 - level < p_value(max(high - step, estimate)) + 0.025


def test_intervals_already_in_reports_are_found_again():
    """Equalized odds of two groups draws nothing at random: another machine has the same ends."""
    reported = {
        "far apart": (0.6486165365, 0.7497233073),
        "hardly apart": (0.0000000000, 0.2060709635),
        "small cells": (0.1106373180, 0.8599566835),
        "even": (0.0000000000, 0.1044921875),
        "even positives": (0.1629742839, 0.2537978516),
        "even negatives": (0.1596865234, 0.2461891276),
    }
    for name, ends in reported.items():
        assert gap_interval(TWO[name], "eo")[1:] == pytest.approx(ends, abs=1e-9), name


def test_which_group_is_first_changes_no_interval():
    for table in map(np.array, TWO.values()):
        for criterion in STANDARD:
            assert gap_interval(table, criterion) == gap_interval(table[::-1], criterion)


def test_more_groups_agree_with_two_where_both_ways_apply():
    """The largest of one difference is that difference."""
    table = np.array([[[1800, 200], [1500, 500]], [[1400, 200], [700, 400]]])
    size, p = of_one((700, 4000), (600, 2700), 0.95)
    largest = largest_gap.largest(table, Criterion.DEMOGRAPHIC_PARITY, 0, 4000)
    gaps = np.linspace(0.2, 2, 19) * size
    assert largest(gaps) == pytest.approx([p(gap) for gap in gaps], abs=0.05)
    assert largest(np.array([size])) == 1


def test_the_largest_of_many_differences_is_tested_as_if_its_groups_were_normal():
    """A smaller gap: moved as little as it takes, and ends shared; a larger one: drawn apart."""
    rates = np.array([0.1, *(0.16,) * 6, 0.3])
    rows = np.array([4000, *(1000,) * 6, 1000])
    error = np.sqrt(rates * (1 - rates) / rows)
    noise = np.random.default_rng(1).standard_normal((20_000, 8)) * error

    def p(gap):
        if gap < 0.2:
            placed = minimize_scalar(
                lambda start: (((np.clip(rates, start, start + gap) - rates) / error) ** 2).sum(),
                bounds=(0.05, 0.3),
                method="bounded",
            ).x
            places = np.clip(rates, placed, placed + gap)
            for end in (placed, placed + gap):
                places = np.where(abs(places - end) < error, end, places)
        else:
            places = rates * gap / 0.2
        return (abs(np.ptp(places + noise, axis=1) - gap) >= abs(0.2 - gap)).mean()

    hits = rates * rows
    table = np.stack([rows - hits, hits], axis=-1)[:, None] * [[[1.0], [0.0]]]
    largest = largest_gap.largest(table, Criterion.DEMOGRAPHIC_PARITY, 0, 4000)
    gaps = np.concatenate([np.linspace(0.13, 0.19, 13), np.linspace(0.21, 0.25, 5)])
    assert largest(gaps) == pytest.approx([p(gap) for gap in gaps], abs=0.04)


def test_a_larger_gap_than_found_has_the_resampled_rates_about_the_found_ones_drawn_apart():
    table = np.array([[[9, 1], [7, 3]], [[30, 4], [2, 0]], [[12, 9], [3, 2]], [[8, 0], [9, 0]]])
    drawn = intervals.resampled(table, 300, 5, smooth=1.0)
    rates = drawn[..., 1].sum(axis=-1) / drawn.sum(axis=(-1, -2))
    noise = rates - rates.mean(axis=0)
    found = table[..., 1].sum(axis=-1) / table.sum(axis=(-1, -2))
    size = np.ptp(found)
    gaps = size * np.linspace(1.02, 1.5, 9)
    expected = [
        (abs(np.ptp(found * gap / size + noise, axis=1) - gap) >= gap - size).mean() for gap in gaps
    ]
    largest = largest_gap.largest(table, Criterion.DEMOGRAPHIC_PARITY, 5, 300)
    assert largest(gaps) == pytest.approx(expected, abs=1e-9)
    assert 0 < expected[-1] < expected[0] < 1


def test_groups_without_a_hit_are_as_sure_as_two_of_them():
    """A gap of exactly 0 among many groups is no surer than one of nearly 0."""
    for hits, rows in ((0, 50), (0, 1000), (100, 1000)):
        one = [[rows - hits, hits], [0, 0]]
        many, two = (gap_interval([one] * groups, "dp") for groups in (3, 2))
        assert (many.estimate, many.low) == (0, 0)
        assert many.high == pytest.approx(two.high, rel=0.15)
    unsure = [[[900, 100], [0, 0]], [[900, 100], [0, 0]], [[90, 10], [0, 0]]]
    assert gap_interval(unsure, "dp").high > 2 * gap_interval(unsure[:2], "dp").high
    empty = [*unsure, [[0, 0], [0, 0]]]
    assert gap_interval(empty, "dp") == gap_interval(unsure, "dp")


def test_only_groups_with_every_rate_of_a_class_are_compared():
    full = [[[50, 9, 4], [6, 40, 8], [2, 7, 30]], [[45, 9, 9], [9, 33, 9], [5, 5, 45]]]
    one_class = [[9, 3, 1], [0, 0, 0], [0, 0, 0]]  # true positives only of the first, no false ones
    two_classes = [[9, 3, 1], [2, 8, 3], [0, 0, 0]]
    for criterion in STANDARD:
        found = gap_interval([one_class, *full, two_classes], criterion, replicates=50)
        if criterion is Criterion.EQUALIZED_ODDS:
            assert found == gap_interval([*full, two_classes], criterion, replicates=50)
            assert found != gap_interval(full, criterion, replicates=50)
        assert found.low <= found.estimate < found.high


def test_the_ends_of_an_interval_are_found_to_a_few_thousandths_of_the_range():
    estimate, limit = 0.75, 2.0
    for width in np.linspace(0.01, 0.7, 24):
        ends = whole._accepted(
            lambda gaps, width=width: np.where(abs(gaps - estimate) <= width, 1.0, 0.0),
            estimate,
            limit,
            0.05,
        )
        assert ends[0] == pytest.approx(estimate - width, abs=estimate / 6000)
        assert ends[1] == pytest.approx(estimate + width, abs=(limit - estimate) / 6000)
    for p in (1.0, 0.05):  # a p-value of alpha is kept
        everywhere = whole._accepted(lambda gaps, p=p: np.full(len(gaps), p), 0.4, 2.0, 0.05)
        assert everywhere == (0.0, 2.0)


def test_gaps_end_where_they_can_be_no_larger():
    opposite = np.array([[[3, 0], [0, 3]], [[0, 3], [3, 0]]])
    assert gap_interval(opposite, "eo")[::2] == (2, 2)
    assert gap_interval(opposite, "eopp")[::2] == (1, 1)
    assert gap_interval([[[3, 0], [3, 0]], [[0, 3], [0, 3]]], "dp")[::2] == (1, 1)
    nearly = np.array([[[20, 2], [1, 20]], [[2, 20], [20, 1]]])
    assert 1.8 < gap_interval(nearly, "eo").high < 2


three = st.tuples(st.integers(2, 4), st.integers(2, 4)).flatmap(
    lambda gk: arrays(np.int64, (2, gk[0], gk[1], gk[1]), elements=st.integers(0, 9))
)


@settings(deadline=None, max_examples=60)
@given(three, st.sampled_from(STANDARD))
def test_the_largest_gap_is_the_range_of_sums_and_differences_of_rates(stacked, criterion):
    found = largest_gap.span(largest_gap.views(stacked, criterion))
    found = np.where(np.isneginf(found), np.nan, found)
    for mine, one in zip(found, stacked, strict=True):
        rates = criterion_rates(one, criterion)
        undefined = np.isnan(rates).any(axis=0)
        if not undefined.any():
            assert mine == pytest.approx(float(gap(one, criterion)))


def test_numbers_that_are_undefined_count_for_no_mean_and_no_range():
    values = np.array([[1.0, np.nan, 4.0], [np.nan] * 3, [2.0, 3.0, 9.0]])
    assert np.array_equal(largest_gap.mean(values, -1), [[2.5], [np.nan], [14 / 3]], equal_nan=True)
    assert np.array_equal(largest_gap.mean(values, 0), [[1.5, 3.0, 6.5]])
    assert largest_gap.span(values) == 7
    assert largest_gap.span(np.stack([values, values - 1])).tolist() == [7, 7]


def test_values_are_squeezed_by_moving_them_as_little_as_it_takes():
    rng = np.random.default_rng(0)
    values, weight = rng.normal(size=(6, 5), scale=1e4), rng.uniform(1, 4, size=(6, 5))
    values[3, 2] = np.nan
    values[4] = np.nan
    for width in (3e3, 1e4, 9e4):
        found = largest_gap.squeezed(values, weight, width)
        assert np.array_equal(np.isnan(found), np.isnan(values))
        for row, by, squeezed in zip(values, weight, found, strict=True):
            row, by, squeezed = (part[~np.isnan(row)] for part in (row, by, squeezed))
            if not len(row):
                continue

            def moved(start, row=row, by=by, width=width):
                return (by * (np.clip(row, start, start + width) - row) ** 2).sum()

            best = minimize_scalar(moved, bounds=(row.min() - 1e4, row.max()), method="bounded")
            assert (by * (squeezed - row) ** 2).sum() <= moved(best.x) * (1 + 1e-3)
            assert np.ptp(squeezed) <= width + 1e-6
            if width == 9e4:
                assert squeezed == pytest.approx(row, abs=1)


def test_values_within_a_standard_error_of_an_end_are_put_there():
    values = np.array([[0.0, 0.9, 1.2, 8.7, 9.5, 10.0, 4.0, 6.0]])
    (found,) = largest_gap.squeezed(values, np.ones((1, 8)), 10.0)
    assert found == pytest.approx([0, 0, 1.2, 8.7, 10, 10, 4, 6], abs=1e-5)
    rows = np.array([[0.0, 4.0, 20.0], [5.0, 5.3, 9.0]])  # each row has ends of its own
    both = largest_gap.squeezed(rows, np.ones((2, 3)), 10.0)
    assert both[1] == pytest.approx([5, 5, 9], abs=1e-5)
    (surer,) = largest_gap.squeezed(values, np.full((1, 8), 4.0), 10.0)
    assert surer == pytest.approx([0, 0.9, 1.2, 8.7, 9.5, 10, 4, 6], abs=1e-5)
    (narrow,) = largest_gap.squeezed(np.array([[0.0, 0.2, 0.35, 0.5]]), np.ones((1, 4)), 0.4)
    assert np.ptp(narrow) == pytest.approx(0.4)
    assert narrow[1] == narrow[0]
    assert narrow[2] == narrow[3]


def test_the_nearest_point_of_a_gap_is_the_nearest():
    share = np.linspace(0, 1, 20_001)
    for point, total, error in (
        ((0.3, 0.5), 0.6, (0.1, 0.3)),
        ((0.3, 0.5), 1.2, (0.1, 0.3)),
        ((0.0, 0.9), 0.2, (0.1, 0.1)),
        ((0.9, 0.0), 0.2, (0.2, 0.1)),
    ):
        grid = np.stack([share * total, (1 - share) * total], axis=-1)
        squared = (((np.array(point) - grid) / error) ** 2).sum(axis=-1)
        found, nearest = whole._to_diamond(np.array(point), np.array(total), np.array(error, float))
        assert found == pytest.approx(squared.min(), rel=1e-3)
        assert nearest == pytest.approx(grid[squared.argmin()], abs=1e-3)


def test_the_normals_are_spread_as_normals_are():
    drawn = whole._normals()
    assert np.allclose(np.sort(drawn, axis=0), norm.ppf((np.arange(1024) + 0.5) / 1024)[:, None])
    assert abs((drawn[:, 0] * drawn[:, 1]).mean()) < 0.01


def test_resampled_tables_have_the_rows_and_on_average_the_shares_of_the_table():
    table = np.array([[[30.5, 0, 9], [0, 0, 0], [5, 5, 20]], [[1, 0, 0], [0, 0, 0], [0, 0, 0]]])
    for smooth in (0.0, 2.0):
        drawn = intervals.resampled(table, 20_000, 0, smooth=smooth)
        assert drawn.shape == (20_000, 2, 3, 3)
        assert np.allclose(drawn.sum(axis=(2, 3)), table.sum(axis=(1, 2)))
        cells = table.sum(axis=-1, keepdims=True)
        shares = (table + smooth) / np.where(cells + 3 * smooth, cells + 3 * smooth, 1)
        assert drawn.mean(axis=0) == pytest.approx(shares * cells, abs=0.1)
        assert (drawn[:, 0, 1] == 0).all()
    spread = intervals.resampled(table, 20_000, 0)[:, 0, 0, 0].std()
    assert spread == pytest.approx(np.sqrt(30.5 * (1 - 30.5 / 69.5)), rel=0.03)
    assert (intervals.resampled(np.full((1, 2, 2), 0.1), 5, 0) == 0).all()


@pytest.mark.parametrize(
    ("shape", "replicates", "drawn"),
    [
        ((3, 2, 2), 5000, 5000),
        ((2, 100, 100), 2500, 500),  # a fifth
        ((2, 100, 100), 300, 200),  # 4,000,000 cells in all
        ((2, 100, 100), 30, 30),
        ((2, 80, 80), 1000, 312),
        ((2, 3, 3), 1, 1),
    ],
)
def test_fewer_tables_are_resampled_where_each_has_very_many_cells(
    monkeypatch, shape, replicates, drawn
):
    asked = []

    def spy(table, criterion, seed, replicates):
        asked.append(replicates)
        return lambda gaps: np.ones(len(gaps))

    monkeypatch.setattr(whole, "largest", spy)
    gap_interval(np.full(shape, 7), "dp", replicates=replicates, seed=123)
    assert asked == [drawn]


def test_what_is_not_said_is_as_documented():
    table = np.random.default_rng(0).integers(1, 30, (3, 2, 2))
    as_documented = gap_interval(table, "eo", level=0.95, seed=0, replicates=1000)
    assert gap_interval(table, "eo") == as_documented
    of_all = error_interval(table, "f1", level=0.95, seed=0, replicates=2000)
    assert error_interval(table) == of_all == error_interval(table.sum(axis=0))
    assert np.array_equal(rate_interval(3, 9), rate_interval(3, 9, 0.95))
    assert gap_interval(table, "eo", seed=1) != as_documented


def test_the_interval_of_an_error_is_that_of_its_rows():
    """Wrong rows among all are binomial: so are the ends, to the noise of 20,000 resamples."""
    for level in (0.5, 0.95):
        found = error_interval([[900, 250], [150, 700]], "accuracy", level=level, replicates=20_000)
        ends = binom.ppf([(1 - level) / 2, (1 + level) / 2], 2000, 0.2)
        assert np.array(found[1:]) * 20 == pytest.approx(ends, abs=1.5)
    assert error_interval([[5, 0], [0, 9]], "accuracy") == (0, 0, 0)
    assert error_interval([[5, 0], [0, 0]], "accuracy") == (0, 0, 0)


def test_an_error_of_no_row_is_undefined_and_of_less_than_one_has_no_interval():
    assert np.isnan(error_interval(np.zeros((2, 2)))).all()
    assert np.isnan(error_interval(np.zeros((2, 2)), lambda confusion: confusion[..., 0, 1])).all()
    assert error_interval([[1, 0], [0, 0]]) == (0, 0, 0)
    assert error_interval(np.full((2, 2), 0.25), "accuracy").high == 100
    little = error_interval([[0.1, 0.1], [0, 0.2]], "accuracy")
    assert little.estimate == pytest.approx(25)
    assert np.isnan(little[1:]).all()


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
@pytest.mark.parametrize("criterion", STANDARD)
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
    monkeypatch.setattr(largest_gap, "resampled", None)
    assert gap_interval(table, "eo", seed=1, replicates=10**9) == expected
    with pytest.raises(TypeError):
        gap_interval(np.concatenate([table, table + 1]), "eo", seed=1)


def test_equal_rates_give_an_interval_that_starts_at_zero():
    table = np.array([[[90, 10], [40, 60]], [[900, 100], [400, 600]]])
    for criterion in STANDARD:
        estimate, low, high = gap_interval(table, criterion)
        assert low == 0
        assert high > max(estimate, 0.01)


def test_a_clear_gap_gives_an_interval_that_excludes_zero():
    table = np.array([[[900, 100], [400, 600]], [[500, 500], [100, 900]]])
    for criterion in STANDARD:
        assert gap_interval(table, criterion).low > 0.2


tables = st.tuples(st.integers(1, 4), st.integers(2, 3)).flatmap(
    lambda gk: arrays(np.int64, (gk[0], gk[1], gk[1]), elements=st.integers(0, 60))
)


@settings(deadline=None, max_examples=60)
@given(tables, st.sampled_from(STANDARD))
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
    assert np.isnan(gap_interval(counts, "dp")).all()
    one_class_each = [[[5, 5], [0, 0]], [[0, 0], [5, 5]]]
    for criterion in ("eo", "eopp"):
        assert np.isnan(gap_interval(one_class_each, criterion)).all()


def test_bad_levels_and_shapes_are_refused():
    with pytest.raises(InputError, match="between 0 and 1"):
        gap_interval(np.ones((2, 2, 2)), "dp", level=95)
    with pytest.raises(InputError, match="shape"):
        gap_interval(np.ones((2, 2)), "dp")


def test_very_many_cells_have_a_gap_and_no_interval():
    table = np.full((2, 101, 101), 3)
    table[0, 1, 1] = 303
    estimate, low, high = gap_interval(table, "equal_opportunity")
    assert estimate == pytest.approx(303 / 603 - 1 / 101)
    assert np.isnan([low, high]).all()
    at_most = gap_interval(table[:, :100, :100], "equal_opportunity", replicates=2)
    assert at_most.low <= at_most.estimate <= at_most.high


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rate_interval([1, 3], [2, 2]), "3 of 2 rows is no rate"),
        (lambda: rate_interval([-1], [2]), "-1 of 2 rows"),
        (lambda: rate_interval([np.nan], [2]), "nan of 2 rows"),
        (lambda: rate_interval([1], [np.inf]), "1 of inf rows"),
        (lambda: rate_interval([-1.1e-9], [2]), "-1.1e-09 of 2 rows"),
        (lambda: rate_interval([2.1e-9], [1e-9]), "2.1e-09 of 1e-09 rows"),
        (lambda: rate_interval([1], [2], 9e-7), "level"),
        (lambda: rate_interval([1], [2], 1.0), "level of an interval lies between 0 and 1"),
        (
            lambda: gap_interval(np.full((2, 2, 2), -1), "eo"),
            "8 counts .* negative, not finite or above 1e\\+15",
        ),
        (lambda: gap_interval(np.full((2, 2, 2), np.nan), "eo"), "8 counts"),
        (lambda: gap_interval([[[1, 2], [3, -1.1e-9]]] * 2, "eo"), "2 counts"),
        (lambda: error_interval([[1e15 + 1, 0], [0, 1]]), "1 counts"),
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
    most = 1e6 * (1 + 1e-9) + 1e-9
    off = rate_interval([-1e-9, 1e-9, most, 2 * (1 + 1e-9)], [2, 0, 1e6, 2])
    exact = rate_interval([0, 0, 1e6, 2], [2, 0, 1e6, 2])
    assert np.array_equal(off, exact, equal_nan=True)
    table = np.array([[[9, 0], [4, 6.0]], [[8, 2], [3, 7]]])
    below = table - 1e-9 * (table == 0)
    assert gap_interval(below, "eo") == gap_interval(table, "eo")
    assert error_interval([[1e15, 0], [0, 1]]).estimate < 1e-9


def test_the_widest_and_the_narrowest_levels():
    low, high = rate_interval([1, 1], [1, 2], 1e-6)
    assert np.allclose([low, high], [1, 0.5], atol=1e-5)
    assert rate_interval(1, 1)[0] == pytest.approx(0.2065, abs=1e-4)
    for rows in (1, 2, 16, 40, 1000):  # at 16 and 40 the arithmetic goes a rounding above 1
        assert rate_interval(rows, rows)[1] == 1
        assert rate_interval(0, rows)[0] == 0


@pytest.mark.parametrize("shape", [(2, 3, 3), (3, 2, 2)])
@pytest.mark.parametrize(("criterion", "limit"), [("dp", 1), ("eo", 2)])
def test_equal_groups_of_less_than_a_row_say_nothing(shape, criterion, limit):
    found = gap_interval(np.full(shape, 0.01), criterion, replicates=50)
    assert (found.estimate, found.low, found.high) == (0, 0, limit)
