"""The rules of selection on made-up candidates."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from made_up import candidates, old, table

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.heads.selection.promising import CHOSEN
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.heads.selection.select import select
from evenhand.metrics.bounds import upper_bound
from evenhand.metrics.rates import f1_error, gap

EO, DP, EOPP = Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY, Criterion.EQUAL_OPPORTUNITY

UNFAIR = table((0.60, 0.80), (0.05, 0.10))  # error lowest, gap .25
FAIRER = table((0.68, 0.74), (0.07, 0.09))  # gap .08
EVEN = table((0.70, 0.70), (0.10, 0.10))  # gap 0, error higher
POOR = table((0.40, 0.40), (0.10, 0.10))  # gap 0, error highest
PATH = (UNFAIR, FAIRER, EVEN, POOR)


def priced(points, difference):
    """Counts of this :func:`price`, ``difference`` the gap of TPRs, of 4,000 rows a cell."""
    wrong = int(100 + 32 * points)
    right = np.array([2000, 2000 + 4000 * difference])
    return table(right / 4000, (wrong / 4000,) * 2, np.full((2, 2), 4000))


def price(confusion):
    """An error that sums without rounding."""
    return confusion[..., 0, 1] / 64.0


def choose(rule, families=None, **more):
    return select(families or [candidates(PATH)], rule, features=10, **more)


def test_within_the_bound_the_lowest_error():
    choice = choose(Rule((Bound("eo", 0.15),)))
    assert choice.index == (1, 0)
    assert choice.promised is True
    assert choice.uppers[EO] <= 0.15
    assert choice.gaps[EO] == pytest.approx(float(gap(FAIRER, EO)))
    assert choice.error == pytest.approx(float(f1_error(FAIRER.sum(axis=0))))
    assert choice.z == pytest.approx(1.2816 + CHOSEN, abs=1e-4)
    assert choose(Rule((Bound("eo", 0.5),))).index == (0, 0)
    assert not choice.kept_old


def test_the_upper_bound_counts_not_the_estimate():
    assert gap(FAIRER, EO) < 0.1 < upper_bound(FAIRER, EO, 1.2816)
    assert choose(Rule((Bound("eo", 0.1),))).index == (2, 0)


def test_a_gap_exactly_at_its_bound_is_within():
    upper = choose(Rule(), force=(0, (1, 0))).uppers[EO]
    at_it = choose(Rule((Bound("eo", upper),)))
    assert (at_it.index, at_it.promised) == ((1, 0), True)
    assert choose(Rule((Bound("eo", np.nextafter(upper, 0)),))).index == (2, 0)


def test_none_within_gives_what_does_no_harm_and_no_promise():
    """The lowest error near the smallest upper bound, among what costs little and harms no group.

    Candidates: transfer learning; cheap and fairer; nearly as fair as that and cheaper; dear.
    """
    path = [priced(0, 0.2), priced(0.4, 0.1), priced(0.3, 0.11), priced(1, 0)]
    rule = Rule((Bound("eo", 0.015),), error=price)
    choice = choose(rule, [candidates(path)])
    assert (choice.index, choice.promised) == ((2, 0), False)
    assert choice.cost == pytest.approx(0.3, abs=1 / 32)
    assert "costs at most 0.5 points" in choice.reason
    far = [priced(0, 0.2), priced(0.4, 0.1), priced(0.3, 0.14), priced(1, 0)]
    assert choose(rule, [candidates(far)]).index == (1, 0)
    assert choose(replace(rule, max_cost=5.0), [candidates(path)]).index == (3, 0)
    assert choose(replace(rule, max_cost=0.0), [candidates(path)]).index == (0, 0)


def test_at_any_cost_none_within_gives_the_smallest_upper_bound():
    path = [priced(0, 0.2), priced(0.4, 0.1), priced(30, 0)]
    choice = choose(Rule((Bound("eo", 0.015),), error=price, at_any_cost=True), [candidates(path)])
    uppers = [float(upper_bound(t, EO, choice.z)) for t in path]
    assert choice.index == (int(np.argmin(uppers)), 0) == (2, 0)
    assert choice.promised is False
    assert choice.cost > 25
    assert choice.attainable[EO] == pytest.approx(min(uppers))


def test_why_a_bound_is_not_promised_is_told_with_the_smallest_that_could_be():
    low = choose(Rule((Bound("eo", 0.001),)))
    assert "noise floor of a model like transfer learning" in low.reason
    middling = choose(Rule((Bound("eo", 0.1),)), [candidates(PATH[:2])])
    assert "no candidate's upper bound is within it" in middling.reason
    assert "noise floor" not in middling.reason
    told = float(middling.reason.rpartition("equalized_odds<=")[2][:5])
    assert told - 0.001 < middling.attainable[EO] <= told
    assert choose(Rule((Bound("eo", told),)), [candidates(PATH[:2])]).promised is True


def test_of_several_bounds_the_one_exceeded_most_counts_as_a_share_of_its_limit():
    rule = Rule((Bound("dp", 0.01), Bound("eo", 0.05)), at_any_cost=True)
    far_from_one = table((0.70, 0.70), (0.05, 0.12))  # ΔDP .047, ΔEO .07
    near_to_both = table((0.70, 0.58), (0.08, 0.11))  # ΔDP .02, ΔEO .15
    choice = choose(rule, [candidates([UNFAIR, far_from_one, near_to_both])])
    assert choice.index == (2, 0)
    assert choice.promised is False
    assert choice.uppers[EO] > choice.attainable[EO]
    assert "each alone" in choice.reason


def test_a_gap_that_no_two_groups_define_leaves_the_choice_to_the_rest():
    """Then nothing tells the candidates apart in it; the first of them is a shifted head."""
    cells = np.array([[3000, 0], [6000, 3000]])
    shifted = table((0.99, 0.99), (0.90, 0.90), cells)
    plain = table((0.80, 0.80), (0.05, 0.09), cells)
    evener = table((0.80, 0.60), (0.07, 0.07), cells)
    family = candidates([shifted, plain, shifted, evener], (-1.0, 0.0))
    choice = choose(Rule((Bound("eo", 0.5),)), [family])
    assert (choice.index, choice.promised) == ((0, 1), False)
    assert "no two groups have 100 rows for each rate of equalized_odds" in choice.reason
    assert choose(Rule(guard=False, max_cost=50.0), [family]).index == (0, 1)
    both = choose(Rule((Bound("eo", 0.5), Bound("dp", 0.001)), at_any_cost=True), [family])
    assert both.uppers[DP] == both.attainable[DP] < choose(Rule(criterion=DP)).uppers[DP]
    assert both.index != (0, 1)


def test_several_bounds_hold_together():
    one = table((0.7, 0.7), (0.05, 0.11))  # small ΔDP and ΔEO .06
    two = table((0.60, 0.80), (0.112, 0.012))  # ΔDP nearly 0, ΔEO .3
    family = candidates([UNFAIR, two, one, EVEN])
    both = Rule((Bound("dp", 0.06), Bound("eo", 0.1)))
    choice = choose(both, [family])
    assert choice.promised is True
    assert choice.uppers[DP] <= 0.06
    assert choice.uppers[EO] <= 0.1
    assert choose(Rule((Bound("dp", 0.06),)), [family]).index == (1, 0)
    none = choose(Rule((Bound("dp", 0.001), Bound("eo", 0.1))), [family])
    assert none.promised is False


def test_without_a_bound_the_smallest_gap_at_the_cost_allowed():
    choice = choose(Rule(max_cost=0.5))
    errors = np.array([float(f1_error(t.sum(axis=0))) for t in PATH])
    affordable = errors <= errors[0] + 0.5
    gaps = np.array([float(gap(t, EO)) for t in PATH])
    assert choice.index == (int(np.where(affordable, gaps, np.inf).argmin()), 0)
    assert choice.promised is None
    dear = choose(Rule(max_cost=50.0))
    assert dear.gaps[EO] == pytest.approx(gaps.min())
    assert choose(Rule(max_cost=0.0)).index == (0, 0)


def test_half_a_point_is_paid_unasked_and_no_more():
    path = [priced(0, 0.2), priced(0.5, 0.1), priced(0.5 + 1 / 32, 0)]
    assert choose(Rule(error=price), [candidates(path)]).index == (1, 0)


def test_of_equal_gaps_the_lower_error():
    path = [priced(0, 0.2), priced(0.5, 0.1), priced(0.25, 0.1), priced(0.375, 0.1)]
    assert choose(Rule(error=price), [candidates(path)]).index == (2, 0)


def test_what_the_old_head_costs_is_known_and_not_estimated():
    """No decision of it was fitted to these rows: its cost has no margin."""
    kept = choose(
        Rule(error=price, guard=False), [candidates([priced(0, 0.2)])], old=old(priced(0.5, 0.1))
    )
    assert kept.kept_old
    assert kept.error == price(priced(0.5, 0.1).sum(axis=0))


def test_where_nothing_as_fair_as_the_old_head_is_cheap_the_lowest_error_of_those():
    for difference in (0.2, 0.01):  # clear; or noise, though above the old head's
        family = candidates([priced(0, difference), priced(1.5, 0), priced(1, 0)])
        choice = choose(Rule(error=price), [family], old=old(priced(2, 0)))
        assert choice.index == (2, 0)
        assert "no candidate as fair as the old head costs at most 0.5 points" in choice.reason


def test_the_guard_refuses_what_is_less_fair_than_before():
    guarded = choose(Rule(max_cost=50.0), [candidates([UNFAIR, POOR])], old=old(FAIRER))
    assert guarded.kept_old
    assert choose(Rule(), [candidates([UNFAIR])], old=old(FAIRER)).family is None
    unguarded = choose(Rule(guard=False), [candidates([UNFAIR])], old=old(POOR))
    assert unguarded.index == (0, 0)


def test_with_a_bound_the_guard_refuses_only_what_is_above_both():
    rule = Rule((Bound("eo", 0.5),))
    assert choose(rule, old=old(FAIRER)).index == choose(rule).index == (0, 0)
    tight = choose(Rule((Bound("eo", 0.02),)), [candidates([UNFAIR])], old=old(FAIRER))
    assert (tight.kept_old, tight.promised) == (True, False)
    rule = Rule((Bound("eo", 0.15),))
    above = choose(rule, [candidates([UNFAIR, FAIRER])], old=old(EVEN))
    assert (above.index, above.promised) == ((1, 0), True)


def test_a_new_random_or_near_constant_head_is_nothing_to_compare_with():
    """Each has a gap of about nothing, and would forbid everything better."""
    good = table((0.85, 0.88), (0.08, 0.11), np.full((2, 2), 4000))
    random = table((0.5, 0.5), (0.49, 0.5), np.full((2, 2), 4000))
    constant = table((0.01, 0.01), (0.0, 0.0), np.full((2, 2), 4000))
    weak = table((0.72, 0.72), (0.28, 0.28), np.full((2, 2), 4000))  # of the lead 57 %
    why = {"by more than noise": random, "fewer than half": constant, "less than two thirds": weak}
    for rule in (Rule(), Rule((Bound("eo", 0.3),))):
        for words, tables in why.items():
            choice = choose(rule, [candidates([good])], old=old(tables))
            assert (choice.index, choice.old_ignored is None) == ((0, 0), False)
            assert words in choice.old_ignored
            assert choice.promised in (None, True)
        assert choose(rule, [candidates([good])], old=old(good)).old_ignored is None


def test_an_already_fair_head_is_left_as_it_is():
    kept = choose(Rule(max_cost=5.0), old=old(EVEN))
    assert kept.kept_old
    assert "already fair" in kept.reason
    assert kept.gaps[EO] == 0
    assert kept.promised is None
    assert choose(Rule((Bound("eo", 0.3),), max_cost=5.0), old=old(EVEN)).promised is True
    unguarded = choose(Rule(max_cost=5.0, guard=False), old=old(EVEN))
    assert "already fair" not in unguarded.reason


def test_a_fair_head_is_left_where_transfer_learning_saves_no_more_than_the_cost():
    family, rule = [candidates([priced(0, 0)])], Rule(error=price)
    assert choose(rule, family, old=old(priced(0.5, 0))).kept_old
    assert not choose(rule, family, old=old(priced(0.5 + 1 / 32, 0))).kept_old


def test_all_gaps_must_be_noise_for_nothing_to_be_evened():
    """A model fair in one of the two that are bounded is not fair."""
    half_fair = table((0.60, 0.80), (0.112, 0.012))  # ΔDP nearly 0, ΔEO .3
    bounds = (Bound("dp", 0.06), Bound("eo", 0.5))
    for rule in (Rule(bounds), Rule(bounds[::-1])):
        choice = choose(rule, [candidates([POOR, FAIRER])], old=old(half_fair))
        assert choice.promised is True
        assert "the lowest error with" in choice.reason
    cells = np.full((2, 2), 4000)
    coin = table((0.5, 0.5), (0.5, 0.5), cells)
    better = table((0.955, 0.95), (0.001, 0.006), cells)  # ΔDP 0; ΔEO .01, and that is no chance
    for rule in (Rule(bounds), Rule(bounds[::-1])):
        choice = choose(rule, [candidates([better])], old=old(coin))
        assert choice.index == (0, 0)
        assert "the lowest error with" in choice.reason


def test_an_already_fair_head_yields_to_transfer_learning_that_is_fair_and_much_better():
    better = table((0.9, 0.9), (0.05, 0.05))
    choice = choose(Rule(), [candidates([better, POOR])], old=old(POOR))
    assert choice.index == (0, 0)
    assert "transfer learning's gap may be noise" in choice.reason


def test_where_transfer_learning_is_fair_nothing_is_evened():
    choice = choose(Rule(), [candidates([EVEN, POOR])])
    assert choice.index == (0, 0)
    assert "transfer learning's gap may be noise" in choice.reason


def test_where_it_is_fair_other_features_may_still_be_far_better():
    better, unfair = table((0.9, 0.9), (0.05, 0.05)), table((0.9, 0.99), (0.05, 0.05))
    little = table((0.705, 0.705), (0.1, 0.1))
    plain = candidates([EVEN, POOR])
    for rule in (Rule(), Rule((Bound("eo", 0.08),))):
        chosen = {
            name: choose(rule, [plain, candidates([one, POOR])])
            for name, one in {"better": better, "unfair": unfair, "little": little}.items()
        }
        assert (chosen["better"].family, chosen["better"].index) == (1, (0, 0))
        assert "so nothing is evened" in chosen["better"].reason
        assert [chosen[name].family for name in ("unfair", "little")] == [0, 0]
    wider = choose(Rule((Bound("eo", 0.3),)), [plain, candidates([unfair, POOR])])
    assert (wider.family, wider.promised) == (1, True)
    evened = choose(Rule(), [plain, candidates([POOR, better])])
    assert evened.family == 0
    as_trained = replace(candidates([better]), strengths=(1.0,))  # with a penalty, below the head
    merged = replace(candidates([better]), merges=(0.06,))
    assert choose(Rule(), [plain, as_trained, merged]).family == 0
    trained = replace(candidates([better]), family="trained head")
    assert choose(Rule(), [plain, as_trained, trained]).family == 2


def test_without_an_old_head_it_is_transfer_learning_that_must_be_fair():
    choice = choose(Rule(), [candidates([EVEN, UNFAIR])])
    assert "transfer learning's gap may be noise" in choice.reason
    assert "already fair" not in choose(Rule(), [candidates([UNFAIR, EVEN])]).reason


def test_noise_that_is_not_within_the_bound_is_not_left():
    """On few rows a gap of 0 is too unsure to be promised; decisions that vary less are surer."""
    cells = np.full((2, 2), 300)
    family = candidates(
        [table((0.6,) * 2, (0.1,) * 2, cells), table((0.9,) * 2, (0.02,) * 2, cells)]
    )
    choice = choose(Rule((Bound("eo", 0.055),)), [family])
    assert (choice.index, choice.promised) == ((1, 0), True)


def test_a_strength_asked_for_is_described():
    choice = choose(Rule((Bound("eo", 0.01),)), force=(0, (3, 0)))
    assert choice.index == (3, 0)
    assert choice.promised is False
    assert choose(Rule(), force=(0, (3, 0))).promised is None
    assert choose(Rule((Bound("eo", 0.3),)), force=(0, (2, 0))).promised is True


def test_other_errors_choose_otherwise():
    rare = np.array([[8000, 800], [9000, 900]])
    many, few = table((0.9, 0.9), (0.15, 0.15), rare), table((0.4, 0.4), (0.01, 0.01), rare)
    family = candidates([table((0.3, 0.7), (0.02, 0.06), rare), many, few])
    bounds = (Bound("eo", 0.1),)
    assert choose(Rule(bounds, error="balanced"), [family]).index == (1, 0)
    assert choose(Rule(bounds, error="accuracy"), [family]).index == (2, 0)
    mine = choose(Rule(bounds, error=lambda c: c[..., 0, 1] / 1.0), [family])
    assert mine.index == (2, 0)


def test_log_loss_is_of_the_offset_zero_only():
    """Another offset has the same scores: within the bound or not, it has no log-loss."""
    rule = Rule((Bound("eo", 0.15),), error="log_loss")
    family = candidates([UNFAIR, FAIRER, EVEN], losses=[0.3, 0.5, 0.4])
    assert choose(rule, [family]).index == (2, 0)
    shifted = candidates([UNFAIR, EVEN, UNFAIR, FAIRER], (0.0, 0.5), losses=[0.3, 0.4])
    choice = choose(rule, [shifted])
    assert choice.index in ((0, 0), (1, 0))
    assert choice.promised is False
    assert np.isfinite(choice.error)
    with pytest.raises(InputError, match="old_loss"):
        choose(rule, [family], old=old(EVEN))
    assert choose(rule, [family], old=old(EVEN), old_loss=0.2).kept_old


def test_log_loss_costs_in_hundredths_of_a_nat():
    nats = [0.25, 0.25 + 1 / 256, 0.25 + 3 / 256]
    family = candidates([UNFAIR, FAIRER, EVEN], losses=nats)
    choice = choose(Rule(error="log_loss"), [family])
    assert choice.index == (1, 0)
    assert choice.error == 100 * nats[1]
    assert choose(Rule(error="log_loss", max_cost=100 * 3 / 256), [family]).index == (2, 0)


def test_an_error_that_is_undefined_is_never_chosen():
    def undefined_for_even(confusion):
        error = np.asarray(f1_error(confusion), dtype=float)
        return np.where(confusion[..., 0, 1] == EVEN.sum(axis=0)[0, 1], np.nan, error)

    rule = Rule((Bound("eo", 0.15),), error=undefined_for_even)
    assert choose(rule).index == (1, 0)
    nowhere = Rule(error=lambda confusion: np.full(confusion.shape[:-2], np.nan))
    with pytest.raises(InputError, match="undefined for every candidate"):
        choose(nowhere)


def test_groups_of_few_rows_steer_nothing():
    """Two large groups, and one with 60 positives whose gap is large, or made small by harm."""
    cells = np.array([[3000, 1500], [6000, 3000], [900, 60]])
    transfer = table((0.60, 0.80, 0.1), (0.05, 0.10, 0.02), cells)
    fairer = table((0.68, 0.74, 0.0), (0.07, 0.09, 0.0), cells)
    family = candidates([transfer, fairer])
    choice = choose(Rule((Bound("eo", 0.15),)), [family])
    assert (choice.index, choice.promised) == ((1, 0), True)
    assert choice.counted[EO].tolist() == [True, True, False]
    assert choice.gaps[EO] == pytest.approx(float(gap(fairer[:2], EO)))
    by_all = choose(Rule((Bound("eo", 0.15),), min_rows=30), [family])
    assert by_all.promised is False
    assert "a rate of equalized_odds has only 60 rows of the 100 it takes" in by_all.reason
    assert by_all.attainable[EO] == np.inf


def test_where_no_two_groups_have_the_rows_it_is_transfer_learning():
    for smallest in (99, 60, 0):
        cells = np.array([[3000, smallest], [6000, 3000]])
        tables = [table((0.6, 0.6), (0.1, 0.1), cells), table((0.6, 0.6), (0.12, 0.12), cells)]
        choice = choose(Rule((Bound("eo", 0.9),), guard=False), [candidates(tables)])
        assert (choice.index, choice.promised) == ((0, 0), False)
        assert "no two groups have 100 rows for each rate of equalized_odds" in choice.reason
        kept = choose(Rule(), [candidates(tables)], old=old(tables[0]))
        assert kept.kept_old
        assert "the old head is left as it was" in kept.reason


@pytest.mark.parametrize(
    ("criterion", "first_group", "promised"),
    [
        ("dp", (300, 250), True),  # a group counts as a whole
        ("dp", (49, 51), True),
        ("dp", (49, 50), False),
        ("eopp", (60, 1500), True),  # its positive rows alone
        ("eopp", (3000, 60), False),
        ("eo", (60, 1500), False),  # each cell
        ("eo", (3000, 100), True),
        ("eo", (3000, 60), False),
    ],
)
def test_only_the_cells_a_criterion_compares_count(criterion, first_group, promised):
    cells = np.array([first_group, [6000, 3000]])
    family = candidates([table((0.6, 0.6), (0.1, 0.1), cells)])
    choice = choose(Rule((Bound(criterion, 0.9),), guard=False), [family])
    assert choice.z == pytest.approx(1.2816 + CHOSEN, abs=1e-4)
    assert choice.promised is promised


def test_of_more_than_two_classes_each_is_compared_where_it_has_the_rows():
    right = np.array([[60, 900, 900], [900, 900, 900]])
    counts = right[..., None] * np.eye(3, dtype=int)
    rule = Rule((Bound("eopp", 0.9),))
    assert choose(rule, [candidates([counts])]).promised is True
    assert choose(replace(rule, min_rows=60), [candidates([counts])]).promised is False


def test_rows_are_few_below_a_hundred_a_feature():
    rows = int(UNFAIR.sum())
    for features, z in ((rows // 100, 1.2816 + CHOSEN), (rows // 100 + 1, 1.6449)):
        choice = select([candidates(PATH)], Rule(), features=features)
        assert choice.z == pytest.approx(z, abs=1e-4)


def test_all_families_are_candidates_and_the_first_one_is_transfer_learning():
    first, second = candidates([UNFAIR, POOR]), candidates([POOR, FAIRER])
    choice = choose(Rule((Bound("eo", 0.15),)), [first, second])
    assert (choice.family, choice.index) == (1, (1, 0))


def test_bad_input_is_named():
    with pytest.raises(InputError, match="no candidates"):
        select([], Rule(), features=3)
    for confidence in (0.4, 0.5, 1, 1.5):
        with pytest.raises(InputError, match=rf"confidence .* \(0.5, 1\), found {confidence}"):
            Rule(confidence=confidence)
    with pytest.raises(InputError, match="unknown error metric 'auc'"):
        Rule(error="auc")
    with pytest.raises(InputError, match="max_cost must be at least 0"):
        Rule(max_cost=-1)


def test_rules_and_choices_stay_as_they_were_made():
    rule = Rule()
    choice = choose(rule)
    for made in (rule, choice):
        with pytest.raises(FrozenInstanceError):
            made.error = "accuracy"
    assert rule == Rule()
    assert {rule, choice} == {choice, Rule()}


def test_a_cost_counts_at_its_bound():
    """The more decisions differ from transfer learning's, the less sure a small cost is."""
    confusion = PATH[0].sum(axis=0)
    error = [float(f1_error(one.sum(axis=0))) for one in PATH]
    cost = error[1] - error[0]
    wrong, right = np.array([[0, 1], [0, 0]]), np.array([[1, 0], [0, 0]])
    price = float(f1_error(confusion + wrong) - f1_error(confusion + right))
    rule = Rule(max_cost=cost + 0.5)
    few, many = [int((0.5 / (2.3263 * price)) ** 2 * factor) for factor in (0.99, 1.02)]
    rows = int(UNFAIR.sum())

    class Counted:
        """Decisions of which only this is known: how many rows differ from transfer learning's."""

        classes = 3  # no model of the labels: the surer margin

        def __init__(self, differing):
            self.counts = np.zeros((4, 1, 2))
            self.counts[1:, 0, 0] = differing, rows, rows

        def at(self, index):
            assert index == (0, 0)
            return "transfer learning"

        def differing(self, plain):
            assert plain == "transfer learning"
            return self.counts

    def chosen(differing):
        return choose(rule, [replace(candidates(PATH), decisions=Counted(differing))]).index

    assert few > 20
    assert chosen(few) == (1, 0)
    assert chosen(many) == (0, 0)


def test_the_cost_is_against_transfer_learning_with_its_threshold_tuned():
    """What a threshold alone gains is no room to spend."""
    path = [priced(0, 0.2), priced(1, 0.2), priced(1.4, 0.0), priced(1.6, 0.0)]
    offsets = (-0.5, 0.0)
    choice = choose(Rule(error=price), [candidates(path, offsets)])
    assert choice.tuned == (0, 0)
    assert (choice.index, choice.cost) == ((0, 0), 0)
    dearer = choose(Rule(error=price, max_cost=1.5), [candidates(path, offsets)])
    assert dearer.index == (1, 0)
    assert dearer.cost == pytest.approx(1.4, abs=1 / 32)


def test_nothing_less_accurate_than_a_constant_is_chosen_unasked():
    """Nine of ten pass: half a point of weighted F1 can be two of accuracy."""
    cells = np.array([[500, 4500], [500, 4500]])
    transfer = table((0.97, 0.99), (0.70, 0.80), cells)  # .907 right
    fairer = table((0.932, 0.932), (0.40, 0.40), cells)  # .899 right, and a lower error
    rule = Rule(max_cost=5.0)
    assert f1_error(fairer.sum(axis=0)) < f1_error(transfer.sum(axis=0))
    assert choose(rule, [candidates([transfer, fairer])]).index == (0, 0)
    bound = replace(rule, bounds=(Bound("eo", 0.06),))
    asked = choose(bound, [candidates([transfer, fairer])])
    assert (asked.index, asked.promised) == ((1, 0), True)
    assert asked.accuracy < asked.constant_accuracy == 90


def test_no_promise_is_made_by_a_model_that_hardly_decides():
    transfer = table((0.5, 0.7), (0.1, 0.2))
    hardly = table((0.05, 0.05), (0.01, 0.01))
    rule = Rule((Bound("eo", 0.05),))
    choice = choose(rule, [candidates([transfer, hardly])])
    assert (choice.index, choice.promised) == ((0, 0), False)
    assert "gives a class to fewer than half" in choice.reason
    anyhow = choose(replace(rule, at_any_cost=True), [candidates([transfer, hardly])])
    assert (anyhow.index, anyhow.promised) == ((1, 0), True)


def test_half_of_what_tuned_transfer_learning_gives_counts_too():
    """Where few are positive its threshold moves far: half of the untuned one's is a quarter."""
    cells = np.array([[4000, 1000], [4000, 1000]])
    untuned = table((0.20, 0.26), (0.005, 0.01), cells)
    tuned = table((0.55, 0.65), (0.04, 0.06), cells)
    few = table((0.2, 0.2), (0.005, 0.005), cells)
    many = table((0.5, 0.5), (0.09, 0.09), cells)
    rule = Rule((Bound("eo", 0.06),))
    family = candidates([untuned, tuned, few, few, many, many], (0.0, 0.5))
    choice = choose(rule, [family])
    assert choice.tuned == (0, 1)
    assert (choice.index[0], choice.promised) == (2, True)
    only_few = choose(rule, [candidates([untuned, tuned, few, few], (0.0, 0.5))])
    assert only_few.promised is False
    assert "gives a class to fewer than half" in only_few.reason


def test_levelling_down_is_never_chosen_unasked_and_told_where_it_is_promised():
    cells = np.full((2, 2), 4000)
    transfer = table((0.7, 0.8), (0.1, 0.2), cells)
    worse_for_all = table((0.66, 0.66), (0.05, 0.05), cells)
    rule = Rule(max_cost=50.0)
    unasked = choose(rule, [candidates([transfer, worse_for_all])])
    assert (unasked.index, unasked.levels_down) == ((0, 0), False)
    bound = replace(rule, bounds=(Bound("eo", 0.1),))
    asked = choose(bound, [candidates([transfer, worse_for_all])])
    assert (asked.index, asked.promised, asked.levels_down) == ((1, 0), True, True)


def test_a_model_that_says_no_to_nearly_everybody_is_not_chosen_unasked():
    """No gap and little error, where few are positive: fair-looking, and of no use."""
    transfer = np.array([[[2000, 10], [30, 30]], [[2000, 20], [25, 15]]])
    nearly = np.array([[[2010, 0], [58, 2]], [[2019, 1], [39, 1]]])
    half = np.array([[[2005, 5], [42, 18]], [[2010, 10], [24, 16]]])
    rule = Rule(max_cost=50.0, guard=False, min_rows=10)
    assert choose(rule, [candidates([transfer, nearly])]).index == (0, 0)
    assert choose(rule, [candidates([transfer, half])]).index == (1, 0)


def test_each_class_is_given_half_as_often_as_by_transfer_learning_or_more():
    def decided(*chosen):
        return table(chosen[1::2], chosen[::2], np.full((2, 2), 4000))

    transfer = decided(0.05, 0.5, 0.25, 0.7)  # 6,000 rows
    half, less = decided(*(0.05, 0.495, 0.05, 0.155)), decided(0.05, 0.495, 0.05, 0.15475)
    rule = Rule(error=lambda confusion: 0.0 * confusion[..., 0, 1], guard=False)
    assert (less[..., 1].sum(), half[..., 1].sum()) == (2999, 3000)
    assert choose(rule, [candidates([transfer, less])]).index == (0, 0)
    assert choose(rule, [candidates([transfer, less, half])]).index == (2, 0)
