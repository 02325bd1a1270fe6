"""The default algorithm on real Adult rows and on small made-up ones."""

from dataclasses import replace

import numpy as np
import pytest

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.finetuning.mlp_adapter import hidden_rows
from evenhand.groups import Groups
from evenhand.heads.fit import fit_path
from evenhand.heads.gaps import gap_terms
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.fair_head import (
    HiddenRows,
    fit_fair_head,
    fits_needed,
)
from evenhand.heads.selection.folds import folds
from evenhand.heads.selection.frontier import frontier
from evenhand.heads.selection.menu import paths
from evenhand.heads.selection.promising import CHOSEN
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.metrics.bounds import critical_value, upper_bound
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import gap
from evenhand.rows import Rows

EO = Criterion.EQUALIZED_ODDS
FEW = CandidateGrid((0.0, 0.3, 3.0), (-0.25, 0.0, 0.25))
PLAIN = replace(FEW, every_criterion=False, merged=False, heavier=0)


def gap_on(rows, head):
    counts = Counts.of(rows.labels, head.predict(rows.features), rows.groups, rows.classes)
    return float(gap(counts.table, EO))


def test_adult_is_fairer_on_rows_never_seen(adult):
    rows, rule = adult.problem.development, Rule((Bound("eo", 0.12),))
    found = fit_fair_head(rows, rule, old=adult.problem.head, grid=FEW)
    transfer = fit_path(adult.problem.train, HeadSpec(ridge=found.ridge))[0].head
    assert found.choice.promised is True
    assert found.choice.uppers[EO] <= 0.12
    assert gap_on(adult.test, found.head) < 0.12 < gap_on(adult.test, transfer)
    assert found.trainable_parameters == 22
    assert found.setting.startswith(("0.3", "3"))


def test_the_cross_fitted_figures_are_of_heads_that_did_not_see_the_rows(make_rows):
    rows = make_rows(n=1500)
    found = fit_fair_head(rows, Rule(), HeadSpec(ridge=1e-2), grid=CandidateGrid.only(2.0))
    table = np.zeros((2, 2, 2), dtype=int)
    for fit, judge in folds(rows):
        part = rows[fit]
        terms = gap_terms(part.labels, part.groups, part.classes, "eo")
        head = fit_path(part, HeadSpec(ridge=1e-2), [0.0, 2.0], terms)[1].head
        other = rows[judge]
        decisions = head.predict(other.features)
        table += Counts.of(other.labels, decisions, other.groups, other.classes).table
    assert found.choice.gaps[EO] == pytest.approx(float(gap(table, EO)))
    z = critical_value(0.9, 1500, 5) + CHOSEN
    assert found.choice.uppers[EO] == pytest.approx(float(upper_bound(table, EO, z)))
    assert found.setting == "2"


def test_the_numbering_of_groups_and_the_order_of_rows_of_a_fit_do_not_matter(make_rows):
    rows = make_rows(n=800, groups=3)
    other = Rows(
        rows.features,
        rows.labels,
        Groups(np.array([1, 2, 0])[rows.groups.codes], ("g2", "g0", "g1")),
        rows.classes,
    )
    one = fit_fair_head(rows, Rule(), HeadSpec(ridge=1e-2), grid=CandidateGrid.only(1.0))
    two = fit_fair_head(other, Rule(), HeadSpec(ridge=1e-2), grid=CandidateGrid.only(1.0))
    np.testing.assert_allclose(one.head.weight, two.head.weight, atol=1e-5)


def test_an_adapter_is_tried_and_described(adult):
    hidden = hidden_rows(adult.problem, 1)
    assert isinstance(hidden, HiddenRows)
    small = np.random.default_rng(0).permutation(len(hidden.rows))[:400]
    rows = adult.problem.development[small]
    found = fit_fair_head(
        rows,
        Rule(max_cost=5.0, guard=False),
        HeadSpec(0.1),
        grid=FEW,
        adapter=HiddenRows(hidden.layer, hidden.rows[small], 1, strengths=(0.0, 0.3)),
        control=FitControl(adult.problem.head),
    )
    names = [family.family for family in found.families]
    assert names == ["head"] * 3 + ["rank-1 adapter + head"]
    adapted = found.families[-1]
    assert adapted.fits[0].trainable_parameters == 71 + 10 + 22
    assert sum(point.chosen for point in frontier(found, Rule())) == 1


def test_a_strength_asked_for_is_the_adapters_where_there_is_one(adult):
    hidden = hidden_rows(adult.problem, 1)
    small = np.random.default_rng(0).permutation(len(hidden.rows))[:400]
    options = {"grid": CandidateGrid.only(2.0), "control": FitControl(adult.problem.head)}
    rows = adult.problem.development[small]
    found = fit_fair_head(
        rows,
        Rule(),
        HeadSpec(0.1),
        adapter=HiddenRows(hidden.layer, hidden.rows[small], 1),
        **options,
    )
    assert [family.strengths for family in found.families] == [(0.0, 2.0)] * 2
    assert found.adapter is not None
    assert found.setting == "adapter 2"
    assert fit_fair_head(rows, Rule(), HeadSpec(0.1), **options).setting == "2"


def test_several_criteria_have_a_path_each_and_one_together(make_rows):
    rule = Rule((Bound("eo", 0.9), Bound("dp", 0.9)))
    assert paths(rule.criteria) == (
        EO,
        Criterion.DEMOGRAPHIC_PARITY,
        dict.fromkeys(rule.criteria, 1.0),
    )
    told = []
    found = fit_fair_head(
        make_rows(n=600),
        rule,
        HeadSpec(1e-2),
        grid=PLAIN,
        control=FitControl(on_fit=lambda: told.append(1)),
    )
    assert len(found.families) == 3
    assert len(told) == fits_needed(rule, PLAIN) == 3 * 6 * 3


def test_the_old_head_is_kept_where_it_is_already_fair(make_rows):
    rows = make_rows(n=1500, seed=3)
    rng = np.random.default_rng(0)
    fair = rows.with_features(rows.features.copy())
    fair.features[:, 0] = rng.normal(size=1500)
    old = fit_path(fair, HeadSpec(ridge=1e-2))[0].head
    shuffled = type(rows.groups)(rng.permutation(rows.groups.codes), rows.groups.names)
    even = type(rows)(fair.features, rows.labels, shuffled, rows.classes)
    found = fit_fair_head(even, Rule(), spec=HeadSpec(1e-2), old=old, grid=FEW)
    assert found.choice.kept_old
    assert found.head is old
    assert found.fit is None
    assert found.trainable_parameters == 0
    assert found.setting == "old head kept"
    assert found.adapter is None


def test_more_classes_and_groups(make_rows):
    rows = make_rows(n=900, classes=3, groups=4, unknown=0.05)
    found = fit_fair_head(rows, Rule(), grid=FEW)
    assert found.head.out_features == 3
    assert found.families[0].tables.shape == (3, 1, 4, 3, 3)


def test_bad_input_is_named(make_rows):
    for strength in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="strength must be finite and at least 0"):
            fit_fair_head(make_rows(n=50), Rule(), grid=CandidateGrid.only(strength))
