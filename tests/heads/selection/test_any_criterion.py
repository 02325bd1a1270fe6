"""Choosing by criteria that no head is fitted for: gaps and levels, by counts alone."""

import numpy as np
import pytest
from made_up import candidates, old, table

from evenhand.criteria import BUILT_IN, Criterion
from evenhand.errors import InputError
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.fair_head import fit_fair_head
from evenhand.heads.selection.frontier import frontier
from evenhand.heads.selection.menu import paths
from evenhand.heads.selection.price import price_curve
from evenhand.heads.selection.rule import Bound, Rule, parse_bounds
from evenhand.heads.selection.select import Selection, select
from evenhand.metrics.bounds import upper_bound
from evenhand.metrics.rates import gap

WGA = Criterion.parse("worst_group_accuracy")

UNFAIR = table((0.60, 0.80), (0.05, 0.10))  # error lowest, gap .25
FAIRER = table((0.68, 0.74), (0.07, 0.09))  # gap .08
EVEN = table((0.70, 0.70), (0.10, 0.10))  # gap 0, error higher
PATH = (UNFAIR, FAIRER, EVEN)


HARSH = table((0.55, 0.95), (0.10, 0.02))  # the first group is served worst: .783
KIND = table((0.80, 0.80), (0.11, 0.11))  # .86 in both


def chosen(rule, tables=PATH):
    choice = select([candidates(tables)], rule, features=3)
    return choice, None if choice.index is None else tables[choice.index[0]]


def test_a_level_is_promised_where_its_lower_bound_keeps_it():
    choice, decisions = chosen(Rule((Bound(WGA, 0.84),), WGA), (HARSH, KIND, EVEN))
    assert choice.promised
    assert decisions is KIND
    assert choice.gaps[WGA] == pytest.approx(gap(KIND, WGA))
    assert choice.uppers[WGA] == pytest.approx(upper_bound(KIND, WGA, choice.z, 100))
    assert 0.84 <= choice.uppers[WGA] < choice.gaps[WGA]
    assert "worst_group_accuracy>=0.84" in choice.reason
    assert choice.attainable[WGA] == pytest.approx(choice.uppers[WGA])


def test_a_level_that_nobody_reaches_is_not_promised_and_the_highest_is_told():
    choice, _ = chosen(Rule((Bound(WGA, 0.95),), WGA), (HARSH, KIND))
    assert choice.promised is False
    assert "no candidate's lower bound is within it" in choice.reason
    told = float(
        choice.reason.split("the highest bound that could be promised is ")[1].split(">=")[1][:5]
    )
    assert told == pytest.approx(upper_bound(KIND, WGA, choice.z, 100), abs=1e-3)
    assert chosen(Rule((Bound(WGA, told),), WGA), (HARSH, KIND))[0].promised


def test_without_a_bound_the_highest_level_at_the_cost_is_chosen():
    choice, decisions = chosen(Rule((), WGA, max_cost=100.0), (HARSH, KIND, EVEN))
    assert decisions is KIND
    assert "the highest WGA" in choice.reason


def test_gaps_and_levels_are_promised_together():
    bounds = (Bound("predictive_equality", 0.04), Bound(WGA, 0.80), Bound("eo", 0.2))
    choice, decisions = chosen(Rule(bounds, bounds[0].criterion))
    assert choice.promised
    assert decisions is FAIRER
    assert set(choice.uppers) == {"predictive_equality", "worst_group_accuracy", "equalized_odds"}
    tight = (*bounds[:1], Bound(WGA, 0.9))
    assert chosen(Rule(tight, bounds[0].criterion))[0].promised is False


@pytest.mark.parametrize("criterion", BUILT_IN)
def test_every_criterion_has_bounds_that_are_kept_and_some_that_are_not(criterion):
    best = gap(EVEN, criterion)
    easy = 0.9 * criterion.highest if criterion.kind == "gap" else 0.05
    hard = 1e-4 if criterion.kind == "gap" else 1 - 1e-4
    assert chosen(Rule((Bound(criterion, easy),), criterion))[0].promised is True
    choice, _ = chosen(Rule((Bound(criterion, hard),), criterion))
    assert choice.promised is False
    assert criterion.within(best, choice.attainable[criterion]) or np.isfinite(best)


def test_the_guard_lets_no_level_fall_below_the_old_heads():
    rule = Rule((), WGA, max_cost=0.0)
    choice = select([candidates((HARSH, UNFAIR))], rule, features=3, old=old(KIND))
    assert choice.kept_old or choice.gaps[WGA] >= gap(KIND, WGA) - 1e-9


def test_bounds_are_read_with_their_sign():
    assert Bound.parse("worst_group_accuracy>=0.8") == Bound(WGA, 0.8)
    assert Bound.parse("wga=0.8") == Bound(WGA, 0.8)
    assert Bound.parse("eo<=0.1") == Bound.parse("equalized_odds=0.1")
    assert str(Bound.parse("pe=0.05")) == "predictive_equality<=0.05"
    assert Bound(WGA, 0.8).most == pytest.approx(0.2)
    assert [str(b) for b in parse_bounds({"wga": 0.8, "eo": 0.1})] == [
        "worst_group_accuracy>=0.8",
        "equalized_odds<=0.1",
    ]
    with pytest.raises(InputError, match=r"is a level, bounded from below: worst_group_accuracy>="):
        Bound.parse("wga<=0.8")
    with pytest.raises(InputError, match=r"is a gap, bounded from above: equalized_odds<=0\.1"):
        Bound.parse("eo>=0.1")


def test_heads_are_fitted_for_the_criterion_that_serves():
    assert paths([Criterion.parse("equalized_odds_max")]) == ("equalized_odds",)
    assert paths([WGA]) == ("equalized_odds",)
    assert paths([Criterion.parse("pe")]) == ("predictive_equality",)
    assert paths([WGA, Criterion.parse("dpr")]) == ("demographic_parity",)
    both = paths([Criterion.parse("dpr"), Criterion.parse("eo")])
    assert both[:2] == ("demographic_parity", "equalized_odds")
    assert both[2] == {"demographic_parity": 1.0, "equalized_odds": 1.0}


def test_the_prices_of_a_level_ask_for_more_and_cost_more():
    family = candidates((HARSH, KIND, EVEN))
    curve = price_curve(Selection((family,), 3), Rule((), WGA), WGA, [0.84])
    bounds = [price.bound for price in curve.prices]
    assert bounds == sorted(bounds, reverse=True)
    assert 0.84 in bounds
    asked = next(price for price in curve.prices if price.bound == 0.84)
    assert asked.promised
    assert asked.gap == pytest.approx(gap(KIND, WGA))
    assert curve.smallest == pytest.approx(
        max(upper_bound(t, WGA, 1.2816, 100) for t in (HARSH, KIND, EVEN)), abs=1e-3
    )


def test_a_head_is_fitted_and_chosen_by_a_level(make_rows):
    rule = Rule((Bound("worst_group_accuracy", 0.5), Bound("predictive_equality", 0.5)))
    grid = CandidateGrid((0.0, 0.3, 3.0), (-0.25, 0.0, 0.25))
    fair = fit_fair_head(make_rows(n=1500), rule, grid=grid)
    assert fair.choice.promised
    assert [point.upper for point in frontier(fair, rule)]


def test_a_head_tilted_to_the_worst_is_called_so(make_rows):
    grid = CandidateGrid((0.0,), (0.0,), every_criterion=False, merged=False, heavier=0)
    rule = Rule((), Criterion.parse("worst_cell_accuracy"), max_cost=100.0)
    fair = fit_fair_head(make_rows(n=1500), rule, grid=grid)
    assert fair.tilted == fair.setting.startswith("tilt ")
    assert fair.families[-1].family.endswith("tilted to the worst of cells")
    assert fair.tilted or fair.choice.family == 0
