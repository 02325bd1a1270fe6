"""Every built-in criterion against brute force from the rows, fairlearn and OxonFair."""

import itertools

import numpy as np
import pytest

from evenhand.criteria import BUILT_IN, Criterion
from evenhand.metrics.estimates import parts, standard_error
from evenhand.metrics.rates import gap


def random_tables(number, groups=(2, 5), classes=(2, 4), seed=0, empty=0.33):
    """Tables of few rows, a share of their cells empty, and now and then a group."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        g, k = rng.integers(groups[0], groups[1] + 1), rng.integers(classes[0], classes[1] + 1)
        table = rng.integers(0, 7, (g, k, k)) * (rng.random((g, k, k)) >= empty)
        table[rng.random(g) < 0.05] = 0
        yield table


def rows_of(table):
    """(label, decision) of each row of each group."""
    return [
        [(y, d) for y, d in np.ndindex(*one.shape) for _ in range(int(one[y, d]))] for one in table
    ]


def share(rows, is_hit, counts=lambda y, d: True):
    among = [is_hit(y, d) for y, d in rows if counts(y, d)]
    return sum(among) / len(among) if among else None


def selection(rows, c):
    return share(rows, lambda y, d: d == c)


def tpr(rows, c):
    return share(rows, lambda y, d: d == c, lambda y, d: y == c)


def fpr(rows, c):
    return share(rows, lambda y, d: d == c, lambda y, d: y != c)


def ppv(rows, c):
    return share(rows, lambda y, d: y == c, lambda y, d: d == c)


def right(rows, c=None):
    return share(rows, lambda y, d: y == d)


def differences(groups, classes, together, *rates):
    """The gap of every class and pair, several rates' put ``together``."""
    for c, (one, other) in itertools.product(classes, itertools.combinations(groups, 2)):
        pairs = [(rate(one, c), rate(other, c)) for rate in rates]
        if all(None not in pair for pair in pairs):
            yield together([abs(a - b) for a, b in pairs])


def ratios(groups, classes):
    for c, (one, other) in itertools.product(classes, itertools.combinations(groups, 2)):
        pair = [selection(rows, c) for rows in (one, other)]
        if None not in pair and max(pair) > 0:
            yield min(pair) / max(pair)


def balanced(rows, k):
    each = [tpr(rows, c) for c in range(k)]
    return None if None in each else 1 - sum(each) / k


def brute_force(table, name):
    groups, k = rows_of(table), table.shape[-1]
    classes = [1] if k == 2 else range(k)
    mean = lambda values: sum(values) / len(values)  # noqa: E731
    found = {
        "demographic_parity": lambda: differences(groups, classes, sum, selection),
        "demographic_parity_ratio": lambda: ratios(groups, classes),
        "equalized_odds": lambda: differences(groups, classes, sum, tpr, fpr),
        "equalized_odds_max": lambda: differences(groups, classes, max, tpr, fpr),
        "equalized_odds_mean": lambda: differences(groups, classes, mean, tpr, fpr),
        "equal_opportunity": lambda: differences(groups, classes, sum, tpr),
        "predictive_equality": lambda: differences(groups, classes, sum, fpr),
        "predictive_parity": lambda: differences(groups, classes, sum, ppv),
        "accuracy_parity": lambda: differences(groups, [0], sum, right),
        "balanced_error_parity": lambda: differences(
            groups, [0], sum, lambda rows, c: balanced(rows, k)
        ),
        "worst_group_accuracy": lambda: map(right, groups),
        "worst_group_error": lambda: (1 - a for a in map(right, groups) if a is not None),
        "worst_cell_accuracy": lambda: (tpr(rows, c) for rows in groups for c in range(k)),
    }[name]()
    values = [value for value in found if value is not None]
    worst = max if Criterion.parse(name).kind == "gap" else min
    return worst(values) if values else np.nan


def test_every_criterion_is_the_brute_force_of_a_thousand_tables():
    for table in random_tables(1_000):
        for criterion in BUILT_IN:
            found = gap(table, criterion)
            assert found == pytest.approx(brute_force(table, criterion), nan_ok=True), criterion


def unrolled(table):
    cells = np.argwhere(np.ones(table.shape, dtype=bool))
    g, y, p = np.repeat(cells, table.ravel(), axis=0).T
    return {"y_true": y, "y_pred": p, "sensitive_features": g}


def test_criteria_that_fairlearn_has_are_fairlearns(fairness):
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, precision_score

    def apart(metric, **rows):
        return fairness.MetricFrame(metrics=metric, **rows).difference()

    def aggregated(metric, worst, **rows):
        frame = fairness.MetricFrame(metrics=metric, **rows)
        return getattr(frame, f"group_{worst}")()

    theirs = {
        "demographic_parity": fairness.demographic_parity_difference,
        "demographic_parity_ratio": fairness.demographic_parity_ratio,
        "equalized_odds_max": fairness.equalized_odds_difference,
        "equalized_odds_mean": lambda **rows: fairness.equalized_odds_difference(
            **rows, agg="mean"
        ),
        "equal_opportunity": fairness.equal_opportunity_difference,
        "predictive_equality": lambda **rows: apart(fairness.false_positive_rate, **rows),
        "predictive_parity": lambda **rows: apart(precision_score, **rows),
        "accuracy_parity": lambda **rows: apart(accuracy_score, **rows),
        "balanced_error_parity": lambda **rows: apart(balanced_accuracy_score, **rows),
        "worst_group_accuracy": lambda **rows: aggregated(accuracy_score, "min", **rows),
    }
    compared = 0
    for table in random_tables(30, groups=(2, 4), classes=(2, 2), seed=1, empty=0.05):
        if not (table.sum(axis=-1) > 0).all() or not (table.sum(axis=-2) > 0).all():
            continue  # there fairlearn puts 0 for what is undefined
        rows = unrolled(table)
        for name, value in theirs.items():
            if name == "equalized_odds_mean" and len(table) > 2:
                continue  # theirs is the mean of two gaps, each of whichever pair it is largest in
            assert gap(table, name) == pytest.approx(value(**rows)), name
        compared += 1
    assert compared > 15


def test_criteria_that_oxonfair_has_are_oxonfairs():
    measures = pytest.importorskip("oxonfair").group_metrics
    theirs = {
        "demographic_parity": measures.demographic_parity,
        "equalized_odds_mean": measures.equalized_odds,
        "equalized_odds_max": measures.equalized_odds_max,
        "equal_opportunity": measures.equal_opportunity,
        "predictive_equality": measures.false_pos_rate.diff,  # theirs of the name is of misses
        "predictive_parity": measures.predictive_parity,
        "accuracy_parity": measures.accuracy.diff,
        "worst_group_accuracy": measures.accuracy.min,
    }
    compared = 0
    for table in random_tables(80, groups=(2, 2), classes=(2, 2), seed=2, empty=0.05):
        if not (table.sum(axis=-1) > 0).all() or not (table.sum(axis=-2) > 0).all():
            continue  # there OxonFair puts 0 for what is undefined
        rows = unrolled(table)
        for name, measure in theirs.items():
            value = measure(rows["y_true"], rows["y_pred"], rows["sensitive_features"])
            assert gap(table, name) == pytest.approx(float(np.asarray(value).ravel()[0])), name
        compared += 1
    assert compared > 20


def numeric_error(table, criterion, step=1e-4):
    """The delta method on cells, each an independent Poisson count, by central differences."""
    table = table.astype(np.float64)
    variance = 0.0
    for cell in np.ndindex(table.shape):
        moved = np.zeros_like(table)
        moved[cell] = step * table[cell]
        slope = (gap(table + moved, criterion) - gap(table - moved, criterion)) / (2 * moved[cell])
        variance += table[cell] * float(slope) ** 2
    return np.sqrt(variance)


@pytest.mark.parametrize("criterion", BUILT_IN)
@pytest.mark.parametrize(("groups", "classes"), [(2, 2), (4, 2), (3, 4)])
def test_standard_errors_are_the_delta_methods_on_cells(criterion, groups, classes):
    """With many rows, where what is added to small cells does not show."""
    rng = np.random.default_rng(3)
    table = rng.integers(2_000, 90_000, (groups, classes, classes))
    found = standard_error(table, criterion)
    assert found == pytest.approx(numeric_error(table, criterion), rel=2e-3)


@pytest.mark.parametrize("criterion", BUILT_IN)
def test_the_worst_part_is_the_figure(criterion):
    for table in random_tables(60, seed=4):
        values, variances = parts(table, criterion)
        worst = np.nanmax if criterion.kind == "gap" else np.nanmin
        defined = gap(table, criterion)
        if criterion.comparison.rates != ("precision",) and criterion != "demographic_parity_ratio":
            expected = worst(values) if not np.isnan(values).all() else np.nan
            assert defined == pytest.approx(expected, nan_ok=True)
        assert not (variances < 0).any()
