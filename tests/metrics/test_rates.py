import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from evenhand.criteria import STANDARD, Criterion
from evenhand.errors import InputError
from evenhand.metrics import rates
from evenhand.metrics.undefined import undefined_rates

binary = arrays(np.int64, (2, 2, 2), elements=st.integers(1, 30))
any_table = st.tuples(st.integers(1, 4), st.integers(2, 4)).flatmap(
    lambda gk: arrays(np.int64, (gk[0], gk[1], gk[1]), elements=st.integers(0, 9))
)


RATES = [
    rates.base_rate,
    rates.selection_rate,
    rates.true_positive_rate,
    rates.false_positive_rate,
    rates.precision,
]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("groups", [1, 4])
def test_tables_of_any_leading_shape_are_each_on_its_own(groups, classes):
    """Thousands of candidates or replicates are scored at once."""
    stacked = np.random.default_rng(0).integers(0, 5, (2, 6, groups, classes, classes))
    stacked[0, 0] = 0
    shapes = {rate: (groups, classes) for rate in RATES}
    for criterion in STANDARD:
        of = 1 if criterion is not Criterion.EQUALIZED_ODDS else 2
        kept = 1 if classes == 2 else classes
        shapes[lambda t, c=criterion: rates.criterion_rates(t, c)] = (of, groups, kept)
        shapes[lambda t, c=criterion: rates.pairwise_gaps(t, c)] = (groups, groups)
        shapes[lambda t, c=criterion: rates.gap(t, c)] = ()
    for one in (rates.accuracy, *rates.ERRORS.values()):
        shapes[one] = (groups,)  # of each group's confusion matrix
    for function, shape in shapes.items():
        found = function(stacked)
        assert found.shape == (2, 6, *shape)
        for place in np.ndindex(2, 6):
            assert np.array_equal(found[place], function(stacked[place]), equal_nan=True)


def test_rates_by_hand():
    table = np.array([[[6, 2, 0], [1, 3, 0], [0, 5, 3]]])  # [label, prediction] of 20 rows
    by_hand = {
        rates.base_rate: [8 / 20, 4 / 20, 8 / 20],
        rates.selection_rate: [7 / 20, 10 / 20, 3 / 20],
        rates.true_positive_rate: [6 / 8, 3 / 4, 3 / 8],
        rates.false_positive_rate: [1 / 12, 7 / 16, 0],
        rates.precision: [6 / 7, 3 / 10, 1],
    }
    for rate, expected in by_hand.items():
        assert rate(table)[0] == pytest.approx(expected), rate.__name__
    assert rates.accuracy(table[0]) == 0.6
    assert rates.accuracy_error(table[0]) == pytest.approx(40)
    assert rates.balanced_error(table[0]) == pytest.approx(100 - 100 * (6 / 8 + 3 / 4 + 3 / 8) / 3)
    f1 = [2 * 6 / 15, 2 * 3 / 14, 2 * 3 / 11]
    assert rates.f1_error(table[0]) == pytest.approx(100 - 5 * (8 * f1[0] + 4 * f1[1] + 8 * f1[2]))


def unrolled(table):
    """The rows a table counts: labels, predictions, groups."""
    cells = np.argwhere(np.ones(table.shape, dtype=bool))
    g, y, p = np.repeat(cells, table.ravel(), axis=0).T
    return y, p, g


@settings(deadline=None, max_examples=40)
@given(binary)
def test_gaps_of_two_groups_are_fairlearns(fairness, table):
    y, p, g = unrolled(table)
    dp = fairness.demographic_parity_difference(y, p, sensitive_features=g)
    eo = fairness.equalized_odds_difference(y, p, sensitive_features=g, agg="mean")
    assert rates.gap(table, "demographic_parity") == pytest.approx(dp)
    assert rates.gap(table, "equalized_odds") == pytest.approx(2 * eo)
    frame = fairness.MetricFrame(
        metrics=fairness.true_positive_rate, y_true=y, y_pred=p, sensitive_features=g
    )
    assert rates.gap(table, "equal_opportunity") == pytest.approx(frame.difference())


@settings(deadline=None, max_examples=40)
@given(any_table)
def test_errors_are_sklearns(table):
    confusion = table.sum(axis=0)
    if not confusion.sum():
        assert np.isnan(rates.f1_error(confusion))
        return
    y, p, _ = unrolled(table)
    f1 = sk.f1_score(y, p, average="weighted", zero_division=0)
    assert rates.f1_error(confusion) == pytest.approx(100 - 100 * f1)
    assert rates.accuracy_error(confusion) == pytest.approx(100 - 100 * sk.accuracy_score(y, p))
    recalls = sk.recall_score(y, p, average=None, labels=np.unique(y), zero_division=0)
    assert rates.balanced_error(confusion) == pytest.approx(100 - 100 * recalls.mean())


@settings(deadline=None, max_examples=40)
@given(any_table, st.sampled_from(STANDARD))
def test_gaps_are_the_largest_over_pairs_and_classes_by_hand(table, criterion):
    found = rates.criterion_rates(table, criterion)
    largest = np.nan
    for k in range(found.shape[-1]):
        for a in range(len(table)):
            for b in range(a):
                difference = np.abs(found[:, a, k] - found[:, b, k]).sum()
                largest = np.fmax(largest, difference)
    assert np.array_equal(rates.gap(table, criterion), largest, equal_nan=True)


@settings(deadline=None, max_examples=20)
@given(any_table, st.sampled_from(STANDARD))
def test_many_tables_at_once_are_each_on_its_own(table, criterion):
    stacked = np.stack([table, table + 1, table * 2])
    each = [rates.gap(one, criterion) for one in stacked]
    assert np.array_equal(rates.gap(stacked, criterion), each, equal_nan=True)
    # rates, and so gaps, do not change when every row is counted twice
    assert np.array_equal(each[0], each[2], equal_nan=True)


def test_a_rate_without_rows_is_not_a_number():
    table = np.array([[[4, 1], [0, 0]], [[3, 2], [1, 4]]])
    assert np.isnan(rates.true_positive_rate(table)[0, 1])
    assert np.isnan(rates.gap(table, "equal_opportunity"))
    assert np.isnan(rates.gap(table, "equalized_odds"))
    assert rates.gap(table, "demographic_parity") == pytest.approx(0.4)
    assert undefined_rates(table, "equalized_odds") == 1
    assert undefined_rates(table * [[[1], [0]]], "equalized_odds") == 2
    assert np.isnan(rates.gap(table[:1], "demographic_parity"))


def test_metrics_go_by_name():
    assert rates.error_metric("f1") is rates.f1_error
    assert rates.error_metric(np.sum) is np.sum
    with pytest.raises(InputError, match="known are f1, accuracy, balanced"):
        rates.error_metric("auc")
