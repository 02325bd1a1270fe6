import numpy as np
import pytest

from evenhand.criteria import Criterion
from evenhand.errors import InputError
from evenhand.groups import Groups, known_groups
from evenhand.heads.selection.candidates import CandidateGrid
from evenhand.heads.selection.fair_head import fit_fair_head
from evenhand.heads.selection.requirements import plan, require_gap, require_groups
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.warnings import (
    coincidence,
    result_warnings,
    row_warnings,
    surest_accuracy,
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
    told = row_warnings(rows_of(codes, labels), (EO,))
    assert any(t.startswith("7 rows have no known sex") for t in told)
    assert any("'a' has 20 rows with label 'yes': left out of the penalty" in t for t in told)
    assert any("'b' has 60 rows with label 'no': too few for a promise" in t for t in told)
    assert any("nearly coincide (correlation 0.7" in t for t in told)
    assert row_warnings(rows_of([0, 1] * 500, ([0] * 2 + [1] * 2) * 250), (EO,)) == []
    empty = row_warnings(rows_of([0] * 300 + [1] * 300, [0, 1] * 150 + [0] * 300), (EO, DP))
    assert any("'b' has 0 rows with label 'yes': its rate there is undefined" in t for t in empty)
    few = row_warnings(rows_of([0] * 300 + [1] * 50, [0, 1] * 175), (DP,))
    assert few == ["group 'b' has 50 rows: too few for a promise"]


def test_coincidence_is_the_largest_correlation():
    assert coincidence(rows_of([0, 0, 1, 1], [0, 0, 1, 1])) == pytest.approx(1)
    assert coincidence(rows_of([0, 0, 1, 1], [0, 1, 0, 1])) == pytest.approx(0)
    assert coincidence(rows_of([0, 0, 0, 0], [0, 1, 0, 1])) == 0


def test_the_plan_is_near_what_fits_reach(adult):
    rows = adult.problem.development
    floors = plan(rows, Rule())
    assert 0.02 < floors[EO] < 0.06
    more = Rows(np.tile(rows.features, (4, 1)), np.tile(rows.labels, 4),
                Groups(np.tile(rows.groups.codes, 4), rows.groups.names), rows.classes)  # fmt: skip
    assert plan(more, Rule())[EO] == pytest.approx(floors[EO] / 2, rel=0.02)


def test_noisy_labels_and_constant_decisions_are_told(make_rows):
    rows = make_rows(n=2000)
    clean = Rows(rows.features, (rows.features[:, 1] > 0).astype(int), rows.groups, rows.classes)
    rng = np.random.default_rng(0)
    flipped = np.where(rng.random(2000) < 0.3, 1 - clean.labels, clean.labels)
    noisy = Rows(rows.features, flipped, rows.groups, rows.classes)
    spec, options = HeadSpec(1e-3), {"grid": CandidateGrid((0.0, 1.0), (0.0,))}
    for case, expected in ((clean, False), (noisy, True)):
        found = fit_fair_head(case, Rule(), spec, **options)
        told = result_warnings(case, found.families, found.choice)
        assert any("labels look noisy" in t for t in told) == expected
    assert surest_accuracy(clean, fit_fair_head(clean, Rule(), spec, **options).families[0]) > 0.95
    rare = (np.arange(2000) % 400 == 0).astype(int)
    rare[np.flatnonzero(rows.groups.codes == 0)[0]] = 1
    rare = Rows(rows.features, rare, rows.groups, rows.classes)
    found = fit_fair_head(rare, Rule(), spec, **options)
    told = result_warnings(rare, found.families, found.choice)
    assert any("decides the same for" in t for t in told)


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
