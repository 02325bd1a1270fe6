import itertools
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chi2, norm

from evenhand.criteria import BUILT_IN, Criterion
from evenhand.errors import InputError
from evenhand.heads.selection.rule import CONFIDENCE, Bound, parse_bounds
from evenhand.metrics.bounds import (
    compared_rows,
    counted_groups,
    critical_value,
    highest_z,
    may_be_noise,
    noise_floor,
    parity_error_floor,
    upper_bound,
)
from evenhand.metrics.rates import gap


def cells_of(table, criterion, c):
    """[(hits, rows) by group] of each rate that ``criterion`` compares for class c."""
    every = [
        [(t[:, c].sum(), t.sum()) for t in table],
        [(t[c, c], t[c].sum()) for t in table],
        [(t[:, c].sum() - t[c, c], t.sum() - t[c].sum()) for t in table],
    ]
    return {"dp": every[:1], "eopp": every[1:2], "eo": every[1:]}[criterion]


def pairs_of(table, criterion):
    """[[(difference, variance) by rate] of each pair of groups and class that has the rows]."""
    pairs = []
    classes = [1] if table.shape[-1] == 2 else range(table.shape[-1])
    for c, (one, other) in itertools.product(classes, itertools.combinations(range(len(table)), 2)):
        pair = []
        for rate in cells_of(table, criterion, c):
            (k1, n1), (k2, n2) = rate[one], rate[other]
            if not n1 or not n2:
                break
            smooth = [((k + 1) / (n + 2), n) for k, n in ((k1, n1), (k2, n2))]
            pair.append((k1 / n1 - k2 / n2, sum(p * (1 - p) / n for p, n in smooth)))
        else:
            pairs.append(pair)
    return pairs


def looped(table, criterion, z):
    uppers = [
        sum(abs(d) for d, _ in pair) + z * np.sqrt(sum(v for _, v in pair))
        for pair in pairs_of(table, criterion)
    ]
    return max(uppers, default=np.nan)


tables = st.tuples(st.integers(2, 4), st.integers(2, 4)).flatmap(
    lambda shape: arrays(np.int64, (shape[0], shape[1], shape[1]), elements=st.integers(0, 60))
)


@given(tables, st.sampled_from(["dp", "eo", "eopp"]), st.floats(0, 3))
def test_upper_bound_is_that_of_a_loop(table, criterion, z):
    np.testing.assert_allclose(upper_bound(table, criterion, z), looped(table, criterion, z))
    assert not upper_bound(table, criterion, z) < gap(table, criterion) - 1e-12


few_rows = st.tuples(st.integers(2, 4), st.integers(2, 4)).flatmap(
    lambda shape: arrays(np.int64, (shape[0], shape[1], shape[1]), elements=st.integers(0, 3))
)


@given(tables | few_rows, st.sampled_from(BUILT_IN), st.floats(0, 3))
def test_a_bound_is_on_the_safe_side_of_the_figure(table, criterion, z):
    bound, figure = upper_bound(table, criterion, z), gap(table, criterion)
    sign = 1 if criterion.kind == "gap" else -1
    assert not sign * bound < sign * figure - 1e-12
    assert np.isnan(figure) or not np.isnan(bound)
    assert not bound < 0


SURE = [c for c in BUILT_IN if c not in ("demographic_parity", "equalized_odds")]


@pytest.mark.parametrize("criterion", SURE)
@pytest.mark.parametrize("even", [True, False])
def test_one_sided_bounds_hold_as_often_as_they_say(criterion, even):
    """At .90, of 1,500 draws: 1.28 standard errors, whichever group is the worst."""
    rng = np.random.default_rng(5)
    shares = np.array([[0.4, 0.1, 0.15, 0.35], [0.4, 0.1, 0.15, 0.35], [0.2, 0.2, 0.1, 0.5]])
    shares = np.repeat(shares[:1], 3, axis=0) if even else shares
    truth = gap(shares.reshape(3, 2, 2), criterion)
    drawn = np.stack([rng.multinomial(400, one, size=1_500) for one in shares], axis=1)
    bounds = upper_bound(drawn.reshape(-1, 3, 2, 2), criterion, norm.ppf(0.9))
    holds = truth <= bounds if criterion.kind == "gap" else truth >= bounds
    assert holds.mean() > 0.88
    assert even or holds.mean() < 1


def test_a_group_decided_for_nobody_has_the_worst_precision_there_may_be():
    table = np.array([[[300, 0], [300, 0]], [[280, 20], [100, 200]], [[280, 20], [100, 200]]])
    assert gap(table, "predictive_parity") == 0  # of the two that have one
    assert upper_bound(table, "predictive_parity", 1.28, min_rows=100) >= 1
    assert upper_bound(table, "demographic_parity_ratio", 1.28) == 0


@given(tables | few_rows, st.sampled_from(["dp", "eo", "eopp"]), st.floats(0, 3))
def test_noise_floor_is_that_of_a_loop_over_the_pairs_that_have_rows(table, criterion, z):
    errors = [np.sqrt(sum(v for _, v in pair)) for pair in pairs_of(table, criterion)]
    assert noise_floor(table, criterion, z) == pytest.approx(z * max(errors, default=0))


@given(tables | few_rows, st.sampled_from(["dp", "eo", "eopp"]))
def test_noise_is_what_no_pair_s_chi_square_test_rejects(table, criterion):
    """Bonferroni: each test at (1 - level) over as many tests as there are pairs with rows."""
    pairs = pairs_of(table, criterion)
    by_chance = [chi2.sf(sum(d**2 / v for d, v in pair), df=len(pair)) for pair in pairs]
    corrected = min(by_chance, default=1.0) * len(pairs)
    if corrected > 0.9 or not pairs:
        assert may_be_noise(table, criterion, 0.5)
    elif corrected < 1e-9:
        assert not may_be_noise(table, criterion, 0.9999)
    else:
        assert may_be_noise(table, criterion, 1 - corrected / 1.01)
        assert not may_be_noise(table, criterion, 1 - corrected * 1.01)


@pytest.mark.parametrize("level", [0.0, 0.3, 0.95])
def test_equal_rates_are_noise_at_any_level(level):
    table = np.array([[[90, 10], [10, 30]]] * 2)
    for criterion in ("dp", "eo", "eopp"):
        assert may_be_noise(table, criterion, level)


def test_noise_is_judged_at_95_percent_by_default():
    """20 and 30 of 100: p = .10. 20 and 35: p = .017, beyond .05 by one pair, within by six."""
    two = np.array([[[80, 20], [0, 0]], [[65, 35], [0, 0]]])
    assert not may_be_noise(two, "dp")
    assert may_be_noise(two, "dp", 0.99)
    assert may_be_noise(np.array([[[80, 20], [0, 0]], [[70, 30], [0, 0]]]), "dp")
    between = np.array([[[72, 28], [0, 0]]] * 2)
    assert may_be_noise(np.concatenate([two, between]), "dp")


def test_many_tables_at_once():
    table = np.random.default_rng(0).integers(0, 50, (4, 3, 3, 2, 2))
    found = upper_bound(table, "eo", 1.28)
    assert found.shape == (4, 3)
    assert found[2, 1] == pytest.approx(looped(table[2, 1], "eo", 1.28))


def test_critical_value_is_larger_where_rows_are_few():
    assert critical_value(0.9, 17_000, 10) == pytest.approx(1.2816, abs=1e-4)
    assert critical_value(0.9, 17_000, 200) == pytest.approx(1.6449, abs=1e-4)
    assert critical_value(0.95, 17_000, 10) == pytest.approx(norm.ppf(0.95))
    assert critical_value(0.9, 1000, 10) == pytest.approx(1.2816, abs=1e-4)
    assert critical_value(0.9, 999, 10) == pytest.approx(1.6449, abs=1e-4)
    assert CONFIDENCE == 0.9
    for confidence in (0.5, 1.0, 0.0, 2.0, float("nan")):
        with pytest.raises(InputError, match=r"\(0.5, 1\)"):
            critical_value(confidence, 1000, 2)


@given(tables | few_rows, st.sampled_from(["dp", "eo", "eopp"]), st.integers(1, 40))
def test_rates_of_few_rows_are_compared_with_none(table, criterion, min_rows):
    """As a loop over classes that takes only the groups with rows enough for each of its rates."""
    uppers, smallest, counted = [], [], set()
    for c in [1] if table.shape[-1] == 2 else range(table.shape[-1]):
        rates = cells_of(table, criterion, c)
        kept = [g for g in range(len(table)) if all(rate[g][1] >= min_rows for rate in rates)]
        counted |= set(kept)
        if len(kept) > 1:
            smallest += [rate[g][1] for rate in rates for g in kept]
        for one, other in itertools.combinations(kept, 2):
            gaps = [rate[one][0] / rate[one][1] - rate[other][0] / rate[other][1] for rate in rates]
            uppers.append(sum(abs(difference) for difference in gaps))
    np.testing.assert_allclose(
        upper_bound(table, criterion, 0.0, min_rows), max(uppers, default=np.nan)
    )
    cells = table.sum(axis=-1)
    assert set(np.flatnonzero(counted_groups(cells, criterion, min_rows))) == counted
    assert compared_rows(cells, criterion, min_rows) == min(smallest, default=0)


def test_what_any_classifier_pays_for_parity():
    """Where bad tweets are .954, .604 and .840 of three groups, half of ΔDP .35 costs errors."""
    cells = np.array([[46, 954], [396, 604], [160, 840]])
    starts = np.linspace(-1, 1, 20001)
    rates, limit = cells[:, 1] / 1000, 0.175
    below = np.maximum(starts[:, None] - rates, 0)
    above = np.maximum(rates - starts[:, None] - limit, 0)
    slow = 100 * (below + above).mean(axis=1).min()
    assert parity_error_floor(cells, limit) == pytest.approx(slow, abs=1e-2)
    assert parity_error_floor(cells, 0.35) == pytest.approx(0, abs=1e-12)
    assert parity_error_floor(cells[:1], 0.0) == 0
    assert parity_error_floor(np.zeros((2, 2)), 0.0) == 0
    assert parity_error_floor(np.array([[100, 0], [0, 300]]), 0.0) == pytest.approx(25)


@given(arrays(np.int64, (3, 2, 2), elements=st.integers(0, 30)), st.floats(0, 1))
def test_no_classifier_pays_less_than_the_floor(table, limit):
    """Any decisions at all: their error is at least the floor at their own gap."""
    own = gap(table, "dp")
    if np.isfinite(own):
        wrong = 100 * (table[:, 0, 1].sum() + table[:, 1, 0].sum()) / table.sum()
        assert parity_error_floor(table.sum(axis=-1), float(own)) <= wrong + 1e-9


def draw(rng, rates, cells):
    """(G, 2, 2) tables of decisions at the true rates (G, 2)."""
    chosen = rng.binomial(cells, rates)
    return np.stack([cells - chosen, chosen], axis=-1)


@pytest.mark.parametrize("criterion", ["dp", "eo", "eopp"])
def test_it_covers_what_it_says_and_calls_equal_rates_noise(criterion):
    rng = np.random.default_rng(1)
    cells = np.array([[1500, 600], [2500, 1200]])
    rates = np.array([[0.07, 0.5], [0.12, 0.62]])
    truth = gap(np.stack([cells * (1 - rates), cells * rates], axis=-1), criterion)
    covered = [upper_bound(draw(rng, rates, cells), criterion, 1.2816) >= truth for _ in range(600)]
    assert 0.87 < np.mean(covered) < 0.99
    same = np.array([[0.1, 0.6], [0.1, 0.6]])
    if criterion == "dp":
        cells = np.array([[1500, 600], [3000, 1200]])
    noise = [may_be_noise(draw(rng, same, cells), criterion) for _ in range(400)]
    assert 0.92 < np.mean(noise) < 0.98
    assert not may_be_noise(draw(rng, rates * [[0.2], [1]], cells), criterion)


def test_noise_floor_is_the_bound_without_a_difference():
    table = np.array([[[900, 100], [100, 300]]] * 2)
    assert noise_floor(table, "eo", 1.3) == pytest.approx(float(upper_bound(table, "eo", 1.3)))


def test_one_group_or_empty_cells_are_not_a_number():
    one = np.ones((1, 2, 2), int)
    assert np.isnan(upper_bound(one, "eo", 1.0))
    assert may_be_noise(one, "eo")
    assert noise_floor(one, "eo", 1.0) == 0
    empty = np.array([[[5, 5], [0, 0]], [[5, 5], [3, 3]]])
    assert np.isnan(upper_bound(empty, "eo", 1.0))
    assert np.isfinite(upper_bound(empty, "dp", 1.0))


def test_bounds_are_written_and_read():
    bound = Bound.parse("eo=0.10")
    assert bound == Bound("equalized_odds", 0.1)
    assert str(bound) == "equalized_odds<=0.1"
    assert parse_bounds(None) == ()
    assert parse_bounds(bound) == (bound,)
    assert parse_bounds({"dp": 0.1, "eo": 0.2}) == (Bound("dp", 0.1), Bound("eo", 0.2))
    assert parse_bounds([bound]) == (bound,)
    assert Bound("eo", 1.5).limit == 1.5
    assert len({bound, Bound("eo", 0.1), Bound("eo", 0.2)}) == 2
    with pytest.raises(FrozenInstanceError):
        bound.limit = 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eo", "criterion=number, as equalized_odds=0.1, not 'eo'"),
        ("eo=small", "not 'eo=small'"),
        ("oe=0.1", "unknown criterion 'oe'"),
        ("eo=0", r"\(0, 2\), found 0.0"),
        ("eo=2", r"\(0, 2\)"),
        ("dp=1", r"\(0, 1\), found 1.0"),
        ("dp=-0.1", r"\(0, 1\)"),
        ("dp=nan", "not 'dp=nan'"),
    ],
)
def test_bounds_that_cannot_be_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        Bound.parse(text)
    with pytest.raises(InputError, match="equalized_odds is bounded 2 times"):
        parse_bounds([Bound("eo", 0.1), Bound(Criterion.EQUALIZED_ODDS, 0.2)])


@given(
    st.integers(0, 9_999),
    st.sampled_from(["eo", "dp", "worst_group_accuracy"]),
    st.floats(0.01, 0.9),
)
def test_up_to_the_highest_critical_value_the_upper_bound_is_within(seed, criterion, limit):
    tables = np.random.default_rng(seed).integers(0, 60, (4, 3, 2, 2))
    highest = highest_z(tables, criterion, limit, min_rows=20)
    for table, z in zip(tables, highest, strict=True):
        if np.isfinite(z):
            near, beyond = (upper_bound(table, criterion, z + step, 20) for step in (-1e-6, 1e-6))
            if criterion == "worst_group_accuracy":  # a level: it is bounded from below
                near, beyond, most = -near, -beyond, -limit
            else:
                most = limit
            assert near <= most + 1e-9
            assert beyond >= most - 1e-9
        else:
            assert np.isnan(upper_bound(table, criterion, 1.0, 20))


def test_a_small_cell_is_held_to_the_two_sided_quantile_where_asked():
    assert critical_value(0.9, 10_000, 5) == pytest.approx(1.2816, abs=1e-4)
    assert critical_value(0.9, 10_000, 5, smallest=499) == pytest.approx(1.6449, abs=1e-4)
    assert critical_value(0.9, 10_000, 5, smallest=500) == pytest.approx(1.2816, abs=1e-4)


@pytest.mark.parametrize("criterion", ["demographic_parity", "equal_opportunity"])
@given(st.floats(1e-3, 1e3), st.integers(1, 3))
def test_weighted_rows_may_be_less_than_one(criterion, weight, classes):
    table = np.full((2, classes, classes), weight)
    upper = upper_bound(table, criterion, 1.28)
    assert upper >= gap(table, criterion) == pytest.approx(0)
    assert np.isnan(upper_bound(table, criterion, 1.28, min_rows=10**7))


def test_one_class_of_half_a_row_has_the_bound_of_its_formula():
    p, n = 1.5 / 2.5, 1  # (k + 1) / (n + 2), and of less than one row as of one
    found = upper_bound(np.array([[[0.5]], [[0.5]]]), "demographic_parity", 1.28)
    assert found == pytest.approx(1.28 * np.sqrt(2 * p * (1 - p) / n))


def test_groups_without_a_row_are_still_not_compared():
    table = np.array([[[0.0, 0.0], [0.0, 0.0]], [[5.0, 5.0], [5.0, 5.0]]])
    assert np.isnan(upper_bound(table, "demographic_parity", 1.28))
