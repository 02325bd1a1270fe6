"""The families a choice is made among."""

from dataclasses import replace

import numpy as np
import pytest

from evenhand.criteria import STANDARD, Criterion
from evenhand.groups import Groups
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.fair_head import choose_head, fit_fair_head
from evenhand.heads.selection.menu import fits_needed, head_families
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.spec import FitControl, HeadSpec
from evenhand.metrics.rates import gap

FEW = CandidateGrid((0.0, 0.3, 3.0), (-0.25, 0.0, 0.25))
SPEC = HeadSpec(1e-2)
EO = Criterion.EQUALIZED_ODDS


def test_every_criterion_is_on_the_menu_whatever_is_asked_for(make_rows):
    found = head_families(make_rows(n=600), Rule(criterion=Criterion.EQUAL_OPPORTUNITY), SPEC)
    assert [one.criteria for one in found[:3]] == [
        Criterion.EQUAL_OPPORTUNITY,
        *(c for c in STANDARD if c is not Criterion.EQUAL_OPPORTUNITY),
    ]
    assert [one.family for one in found] == ["head"] * 3 + ["head, merged"] * 4
    # transfer learning is merged once, the other heads of every path
    assert [set(one.strengths) == {0.0} for one in found[3:]] == [True, False, False, False]
    assert all(one.decisions is not None for one in found)


@pytest.mark.parametrize(
    ("rule", "grid"),
    [
        (Rule(), FEW),
        (Rule((Bound("eo", 0.01),)), FEW),
        (Rule((Bound("eo", 1.0),)), FEW),
        (Rule((Bound("eo", 0.01), Bound("dp", 0.5))), replace(FEW, every_criterion=False)),
    ],
)
def test_the_fits_told_of_are_those_announced(make_rows, rule, grid):
    told = []
    control = FitControl(on_fit=lambda: told.append(1))
    head_families(make_rows(n=600), rule, SPEC, grid=grid, control=control)
    assert len(told) == fits_needed(rule, grid)


def test_a_bound_far_below_the_gap_has_a_path_at_a_heavier_ridge(make_rows):
    rows = make_rows(n=900)
    gap_before = float(gap(crossfit(rows, SPEC, "eo", grid=FEW).tables[0, 1], "eo"))

    def ridges(limit):
        found = head_families(rows, Rule((Bound("eo", limit),)), SPEC, grid=FEW)
        return [one.ridge for one in found if not one.merges]

    assert ridges(0.4 * gap_before) == [1e-2] * 3 + [1e-1]
    assert ridges(0.6 * gap_before) == [1e-2] * 3


def test_on_few_rows_only_transfer_learning_is_merged_under_a_bound(make_rows):
    def merges(n, d, rule):
        found = head_families(make_rows(n=n, d=d), rule, SPEC, grid=FEW)
        return sum(bool(one.merges) for one in found)

    bound = Rule((Bound("eo", 1.0),))
    assert merges(600, 5, Rule()) == 4
    assert merges(600, 5, bound) == 1
    assert merges(600, 5, replace(bound, critical="resampled")) == 4
    assert merges(600, 7, bound) == 4  # fewer than 100 rows a feature: held to a wider margin
    assert merges(5000, 5, bound) == 4


def test_a_criterion_with_no_gap_has_no_path(make_rows):
    rows = make_rows(n=600)
    one_label = rows.groups.codes.copy()
    one_label[rows.labels == 1] = 0  # group 1 has no row with label 1
    rows = replace(rows, groups=Groups(one_label, rows.groups.names))
    rule = Rule(criterion=Criterion.DEMOGRAPHIC_PARITY)
    found = head_families(rows, rule, SPEC, grid=replace(FEW, merged=False))
    assert Criterion.EQUAL_OPPORTUNITY not in [one.criteria for one in found]


def test_more_classes_have_paths_only(make_rows):
    found = head_families(make_rows(n=600, classes=3), Rule(), SPEC, grid=FEW)
    assert [one.family for one in found] == ["head"] * 3


def test_paths_fitted_before_are_taken_and_further_families_are_chosen_among(make_rows):
    rows = make_rows(n=900)
    known = {EO: crossfit(rows, SPEC, EO, grid=FEW)}
    assert head_families(rows, Rule(), SPEC, grid=FEW, known=known)[0] is known[EO]
    deeper = rows.with_features(np.hstack([rows.features, rows.features**2]))
    spec = replace(SPEC, name="deep head")
    more = head_families(deeper, Rule(), spec, grid=FEW)
    assert more[0].family == "deep head"
    assert more[-1].family == "deep head, merged"
    found = fit_fair_head(rows, Rule(), SPEC, grid=FEW, families=more)
    assert len(found.families) == 2 * len(more)
    again = choose_head(rows, Rule(), found.families)
    assert (again.choice.family, again.choice.index) == (found.choice.family, found.choice.index)
    taken = found.families[found.choice.family]
    features = deeper.features if taken.family.startswith("deep") else rows.features
    assert found.fit.logits(features).shape == (900, 2)
