import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from evenhand.bounds import (
    Bound,
    critical_value,
    may_be_noise,
    noise_floor,
    parse_bounds,
    upper_bound,
)
from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.metrics.rates import gap


def cells_of(table, criterion, c):
    """[(hits, rows) by group] of each rate that ``criterion`` compares for class c."""
    every = [
        [(t[:, c].sum(), t.sum()) for t in table],
        [(t[c, c], t[c].sum()) for t in table],
        [(t[:, c].sum() - t[c, c], t.sum() - t[c].sum()) for t in table],
    ]
    return {"dp": every[:1], "eopp": every[1:2], "eo": every[1:]}[criterion]


def looped(table, criterion, z):
    uppers = []
    classes = [1] if table.shape[-1] == 2 else range(table.shape[-1])
    for c, (one, other) in itertools.product(classes, itertools.combinations(range(len(table)), 2)):
        difference = variance = 0.0
        for rate in cells_of(table, criterion, c):
            (k1, n1), (k2, n2) = rate[one], rate[other]
            if not n1 or not n2:
                break
            difference += abs(k1 / n1 - k2 / n2)
            for k, n in ((k1, n1), (k2, n2)):
                p = (k + 1) / (n + 2)
                variance += p * (1 - p) / n
        else:
            uppers.append(difference + z * np.sqrt(variance))
    return max(uppers, default=np.nan)


tables = st.tuples(st.integers(2, 4), st.integers(2, 4)).flatmap(
    lambda shape: arrays(np.int64, (shape[0], shape[1], shape[1]), elements=st.integers(0, 60))
)


@given(tables, st.sampled_from(["dp", "eo", "eopp"]), st.floats(0, 3))
def test_upper_bound_is_that_of_a_loop(table, criterion, z):
    np.testing.assert_allclose(upper_bound(table, criterion, z), looped(table, criterion, z))
    assert not upper_bound(table, criterion, z) < gap(table, criterion) - 1e-12


def test_many_tables_at_once():
    table = np.random.default_rng(0).integers(0, 50, (4, 3, 3, 2, 2))
    found = upper_bound(table, "eo", 1.28)
    assert found.shape == (4, 3)
    assert found[2, 1] == pytest.approx(looped(table[2, 1], "eo", 1.28))


def test_critical_value_is_larger_where_cells_are_small_or_rows_few():
    large, small = np.array([500, 4000]), np.array([499, 4000, 0])
    assert critical_value(0.9, large, 17_000, 10) == pytest.approx(1.2816, abs=1e-4)
    assert critical_value(0.9, small, 17_000, 10) == pytest.approx(1.6449, abs=1e-4)
    assert critical_value(0.9, large, 17_000, 200) == pytest.approx(1.6449, abs=1e-4)
    assert critical_value(0.95, large, 17_000, 10) == pytest.approx(norm.ppf(0.95))
    assert critical_value(0.9, np.array([0, 600]), 17_000, 10) == pytest.approx(1.2816, abs=1e-4)
    for confidence in (0.5, 1.0, 0.0, 2.0, float("nan")):
        with pytest.raises(InputError, match=r"\(0.5, 1\)"):
            critical_value(confidence, large, 1000, 2)


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eo", "criterion=limit, as equalized_odds=0.1, not 'eo'"),
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
