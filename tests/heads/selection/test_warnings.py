import numpy as np
import pytest

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.groups import Groups, known_groups
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.crossfit import crossfit
from evenhand.heads.selection.fair_head import fit_fair_head
from evenhand.heads.selection.requirements import (
    require_gap,
    require_groups,
    smallest_bounds,
)
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.warnings import (
    coincidence,
    noise_of_labels,
    result_warnings,
    row_warnings,
    unknown_groups,
)
from evenhand.heads.spec import HeadSpec
from evenhand.rows import Rows

EO, DP = Criterion.EQUALIZED_ODDS, Criterion.DEMOGRAPHIC_PARITY


def rows_of(codes, labels, names=("a", "b")):
    x = np.zeros((len(codes), 2))
    return Rows(x, np.array(labels), Groups(np.array(codes), names, "sex"), ("no", "yes"))


def test_rows_without_two_groups_are_refused_by_name():
    one = rows_of([0, 0], [0, 1], ("a",))
    with pytest.raises(InputError, match="train has one group only, 'a' of sex: a gap needs two"):
        require_groups(one, "train")
    with pytest.raises(InputError, match="group 'b' has 0 rows in valid"):
        require_groups(rows_of([0, 0, -1], [0, 1, 1]), "valid")
    with pytest.raises(InputError, match="no group of sex"):
        require_groups(rows_of([-1, -1], [0, 1], ()), "test")
    require_groups(rows_of([0, 1], [0, 1]), "test")


def test_small_and_empty_cells_unknown_groups_and_coincidence_are_told():
    codes = np.array([0] * 300 + [1] * 300 + [-1] * 7)
    labels = np.array([0] * 280 + [1] * 20 + [0] * 60 + [1] * 240 + [1] * 7)
    (unknown,) = unknown_groups(rows_of(codes, labels))
    assert unknown.startswith("7 rows have no known sex")
    assert unknown_groups(rows_of([0, 1], [0, 1])) == []
    told = row_warnings(rows_of(codes, labels), (EO,))
    steers_nothing = "it is reported, and steers neither the penalty nor the choice nor the promise"
    assert f"group 'a' has 20 rows with label 'yes', fewer than 100: {steers_nothing}" in told
    assert f"group 'b' has 60 rows with label 'no', fewer than 100: {steers_nothing}" in told
    assert not any("'b'" in t for t in row_warnings(rows_of(codes, labels), (EO,), 50))
    assert any("nearly coincide (correlation 0.7" in t for t in told)
    assert row_warnings(rows_of([0, 1] * 500, ([0] * 2 + [1] * 2) * 250), (EO,)) == []
    empty = row_warnings(rows_of([0] * 300 + [1] * 300, [0, 1] * 150 + [0] * 300), (EO, DP))
    assert any("group 'b' has 0 rows with label 'yes'" in t for t in empty)
    few = row_warnings(rows_of([0] * 300 + [1] * 50, [0, 1] * 175), (DP,))
    assert few == [f"group 'b' has 50 rows, fewer than 100: {steers_nothing}"]
    neither = row_warnings(rows_of([0] * 300 + [1] * 3, [0, 1] * 151 + [0]), (EO,))
    assert [t for t in neither if "'b'" in t] == [
        "group 'b' has 2 rows with label 'no', 1 rows with label 'yes', fewer than 100: "
        f"{steers_nothing}"
    ]


def test_coincidence_is_the_largest_correlation():
    assert coincidence(rows_of([0, 0, 1, 1], [0, 0, 1, 1])) == pytest.approx(1)
    assert coincidence(rows_of([0, 0, 1, 1], [0, 1, 0, 1])) == pytest.approx(0)
    assert coincidence(rows_of([0, 0, 0, 0], [0, 1, 0, 1])) == 0


def test_the_plan_is_near_what_fits_reach(adult):
    rows = adult.problem.development
    floors = smallest_bounds(rows, Rule())
    assert 0.02 < floors[EO] < 0.06
    more = Rows(np.tile(rows.features, (4, 1)), np.tile(rows.labels, 4),
                Groups(np.tile(rows.groups.codes, 4), rows.groups.names), rows.classes)  # fmt: skip
    assert smallest_bounds(more, Rule())[EO] == pytest.approx(floors[EO] / 2, rel=0.02)


def test_constant_decisions_are_told(make_rows):
    rows = make_rows(n=2000)
    rare = (np.arange(2000) % 400 == 0).astype(int)
    rare[np.flatnonzero(rows.groups.codes == 0)[0]] = 1
    rare = Rows(rows.features, rare, rows.groups, rows.classes)
    grid = CandidateGrid((0.0, 1.0), (0.0,))
    fair = fit_fair_head(rare, Rule(), HeadSpec(ridge=1e-3), grid=grid)
    told = result_warnings(rare, fair.families, fair.choice, Rule())
    assert any("decides the same for" in t for t in told)


@pytest.mark.parametrize("steepness", [0.3, 1.0, 3.0])
def test_people_who_are_hard_to_predict_are_not_called_noise_and_flipped_labels_are(steepness):
    """A calibrated model of any accuracy is as right as it says; flips make it less so."""
    draw = np.random.default_rng(0)
    groups = Groups(draw.integers(0, 2, 6000), ("a", "b"))
    x = draw.normal(size=(6000, 4))
    odds = steepness * (x @ np.array([2.0, -1.0, 1.0, 0.5]))
    labels = (draw.random(6000) < 1 / (1 + np.exp(-odds))).astype(int)
    flipped = np.where(draw.random(6000) < 0.2, 1 - labels, labels)

    def told(labels):
        rows = Rows(x, labels, groups, ("no", "yes"))
        grid = CandidateGrid((0.0,), (0.0,))
        return noise_of_labels(rows, crossfit(rows, HeadSpec(ridge=1e-4), EO, grid=grid))

    assert told(labels) is None
    if steepness >= 1.0:
        assert "the labels look noisy" in told(flipped)


def as_credit(draw, x):
    """A fifth default, two columns long-tailed; .75 of the pairs are told apart."""
    x[:, :2] = np.exp(0.5 * x[:, :2])
    x[:, :2] = (x[:, :2] - x[:, :2].mean(axis=0)) / x[:, :2].std(axis=0)
    return x @ draw.normal(scale=0.5, size=8) - 1.5


def as_law(draw, x):
    """Nine of ten pass, and two grades tell little of who."""
    return 0.8 * x[:, 0] + 0.5 * x[:, 1] + 2.4


def as_oulad(draw, x):
    """About half pass; categories alone."""
    x[:] = x > 0.4
    return x @ draw.normal(scale=0.7, size=8) + 0.1


@pytest.mark.parametrize("kind", [as_credit, as_law, as_oulad])
def test_tasks_that_are_hard_for_everybody_are_told_silently(kind):
    for seed in range(5):
        draw = np.random.default_rng(seed)
        x = draw.normal(size=(8000, 8))
        labels = (draw.random(8000) < 1 / (1 + np.exp(-kind(draw, x)))).astype(int)
        rows = Rows(x, labels, Groups(draw.integers(0, 2, 8000), ("a", "b")), ("no", "yes"))
        family = crossfit(rows, HeadSpec(ridge=1e-4), EO, grid=CandidateGrid((0.0,), (0.0,)))
        assert noise_of_labels(rows, family) is None


@pytest.mark.parametrize("flips", [0.0, 0.2])
def test_a_fifth_of_real_labels_flipped_is_told_and_none_is_not(adult, flips):
    rows = adult.problem.development
    draw = np.random.default_rng(0)
    labels = np.where(draw.random(len(rows)) < flips, 1 - rows.labels, rows.labels)
    rows = Rows(rows.features, labels, rows.groups, rows.classes)
    family = crossfit(rows, HeadSpec(ridge=1e-4), EO, grid=CandidateGrid((0.0,), (0.0,)))
    told = noise_of_labels(rows, family)
    if flips:
        assert "as if about 19% of them were flipped" in told
        assert "cannot tell which it is" in told
    else:
        assert told is None


def test_clean_rows_give_few_false_alarms():
    """At p = .001 a calibrated model is called noisy in none of forty draws."""
    alarms = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        x = draw.normal(size=(1000, 3))
        labels = (draw.random(1000) < 1 / (1 + np.exp(-x.sum(axis=1)))).astype(int)
        rows = Rows(x, labels, Groups(draw.integers(0, 2, 1000), ("a", "b")), ("no", "yes"))
        family = crossfit(rows, HeadSpec(ridge=1e-3), EO, grid=CandidateGrid((0.0,), (0.0,)))
        alarms += noise_of_labels(rows, family) is not None
    assert alarms == 0


def test_groups_in_words():
    groups = Groups(np.array([0] * 1200 + [1]), ("F", "M"))
    assert known_groups(groups) == "F 1,200, M 1"


def test_criteria_by_which_nothing_can_be_compared_are_refused():
    labels = np.array([0, 0, 1, 1])
    same = Rows(np.zeros((4, 1)), labels, Groups(labels, ("F", "M"), "sex"), ("no", "yes"))
    require_gap(same, (Criterion.DEMOGRAPHIC_PARITY,))
    with pytest.raises(InputError, match=r"by equalized_odds: .* F: 2 'no', 0 'yes'; M: 0"):
        require_gap(same, (Criterion.DEMOGRAPHIC_PARITY, EO))
    nobody = same.with_features(np.zeros((4, 1)))[labels > 5]
    with pytest.raises(InputError, match="by demographic_parity"):
        require_gap(nobody, (Criterion.DEMOGRAPHIC_PARITY,))
    with pytest.raises(InputError, match="no two groups of sex can be compared"):
        fit_fair_head(same, Rule())
