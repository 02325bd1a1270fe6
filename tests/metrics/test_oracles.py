"""Every rate, error and gap against fairlearn and scikit-learn, from the rows themselves."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from evenhand.auditing import audit
from evenhand.groups import Groups
from evenhand.metrics import Counts, rates


@st.composite
def decisions(draw, classes=(2, 4), groups=(1, 4)):
    """Labels, predictions and group codes of up to 40 rows, and how many classes and groups."""
    k, g, n = draw(st.integers(*classes)), draw(st.integers(*groups)), draw(st.integers(1, 40))
    columns = [draw(st.lists(st.integers(0, top - 1), min_size=n, max_size=n)) for top in (k, k, g)]
    return *(np.array(column) for column in columns), k, g


def counted(y, p, codes, k, g):
    names = tuple(f"g{i}" for i in range(g))
    return Counts.of(y, p, Groups(codes, names), tuple(f"c{i}" for i in range(k)))


@settings(deadline=None, max_examples=60)
@given(decisions())
def test_every_rate_of_a_group_is_sklearns(fairness, rows):
    y, p, codes, k, g = rows
    table = counted(*rows).table
    for group in range(g):
        mine = codes == group
        for c in range(k):
            true, said = y[mine] == c, p[mine] == c
            expected = {
                rates.base_rate: true.mean() if mine.any() else np.nan,
                rates.selection_rate: fairness.selection_rate(true, said) if mine.any() else np.nan,
                rates.true_positive_rate: sk.recall_score(true, said) if true.any() else np.nan,
                rates.precision: sk.precision_score(true, said) if said.any() else np.nan,
                rates.false_positive_rate: (
                    fairness.false_positive_rate(true, said, pos_label=True)
                    if (~true).any() and true.any()
                    else said.mean()
                    if (~true).any()
                    else np.nan
                ),
            }
            for rate, value in expected.items():
                assert rate(table)[group, c] == pytest.approx(value, nan_ok=True), rate.__name__
        right = sk.accuracy_score(y[mine], p[mine]) if mine.any() else np.nan
        assert rates.accuracy(table)[group] == pytest.approx(right, nan_ok=True)


@settings(deadline=None, max_examples=60)
@given(decisions())
def test_every_error_is_sklearns(rows):
    y, p, *_ = rows
    counts = counted(*rows)
    f1 = sk.f1_score(y, p, average="weighted", zero_division=0)
    assert rates.f1_error(counts.total) == pytest.approx(100 - 100 * f1)
    assert rates.accuracy_error(counts.total) == pytest.approx(100 * sk.zero_one_loss(y, p))
    recall = sk.recall_score(y, p, average="macro", labels=np.unique(y), zero_division=0)
    assert rates.balanced_error(counts.total) == pytest.approx(100 - 100 * recall)


@settings(deadline=None, max_examples=80)
@given(decisions(classes=(2, 2), groups=(2, 5)))
def test_every_gap_is_fairlearns_where_both_are_defined(fairness, rows):
    y, p, codes, *_ = rows
    if len(np.unique(codes)) < 2:
        return
    counts = counted(*rows)
    given_to = {"y_true": y, "y_pred": p, "sensitive_features": codes}
    dp = fairness.demographic_parity_difference(y, p, sensitive_features=codes)
    assert rates.gap(counts.table, "dp") == pytest.approx(dp)
    cells = counts.cells[np.unique(codes)]
    if (cells[:, 1] > 0).all():
        equal = fairness.MetricFrame(metrics=fairness.true_positive_rate, **given_to).difference()
        assert rates.gap(counts.table, "eopp") == pytest.approx(equal)
    if (cells > 0).all():
        mean = 2 * fairness.equalized_odds_difference(y, p, sensitive_features=codes, agg="mean")
        worst = fairness.equalized_odds_difference(y, p, sensitive_features=codes)
        found = rates.gap(counts.table, "eo")
        assert worst - 1e-12 <= found <= mean + 1e-12
        if len(cells) == 2:
            assert found == pytest.approx(mean)
        pair = rates.pairwise_gaps(counts.table, "eo")
        assert np.array_equal(pair, pair.T, equal_nan=True)


@settings(deadline=None, max_examples=40)
@given(decisions(classes=(2, 2), groups=(2, 4)))
def test_impact_ratios_and_scores_are_fairlearns_and_sklearns(fairness, rows):
    y, p, codes, *_ = rows
    score = (3 * y + 2 * p + codes) / 10
    frame = pd.DataFrame({"y": y, "p": p, "score": score, "g": codes})
    result = audit(frame, label="y", prediction="p", score="score", groups="g", positive="1")
    ((_, _, table),) = result.selection()
    if p.any():
        team = pd.Series(codes)  # fairlearn 0.12 reads an array of one row as no feature
        ratio = fairness.demographic_parity_ratio(y, p, sensitive_features=team)
        assert table["impact_ratio"].min() == pytest.approx(ratio)
    else:
        assert table["impact_ratio"].isna().all()
    values = result.parts[0].values
    for place, group in enumerate(sorted(set(codes.tolist()))):
        mine = codes == group
        if len(np.unique(y[mine])) == 2:
            assert values["auc"][place] == pytest.approx(sk.roc_auc_score(y[mine], score[mine]))
        else:
            assert np.isnan(values["auc"][place])
        assert values["calibration"][place] == pytest.approx(score[mine].mean() - y[mine].mean())
        above = (score[mine] > np.median(score)).sum()
        assert result.parts[0].above[place] == above


@settings(deadline=None, max_examples=40)
@given(decisions(), st.permutations(range(4)), st.integers(2, 5))
def test_order_names_and_repeated_rows_change_no_figure(rows, order, times):
    y, p, codes, k, g = rows
    counts = counted(*rows)
    shuffled = np.random.default_rng(len(y)).permutation(len(y))
    moved = np.array([c for c in order if c < g])[codes]
    again = (
        counted(y[shuffled], p[shuffled], codes[shuffled], k, g),
        counted(np.tile(y, times), np.tile(p, times), np.tile(codes, times), k, g),
        counted(y, p, moved, k, g),
    )
    for other in again:
        for criterion in ("dp", "eo", "eopp"):
            same = rates.gap(other.table, criterion)
            assert same == pytest.approx(float(rates.gap(counts.table, criterion)), nan_ok=True)
        for name in rates.ERRORS:
            error = float(rates.ERRORS[name](counts.total))
            assert rates.ERRORS[name](other.total) == pytest.approx(error)
            assert 0 <= error <= 100
    assert len(counts) == len(y)
