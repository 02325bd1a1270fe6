"""The soft-gap penalty against autograd of its formula (METHOD, 'The default algorithm')."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from scipy.special import expit

from evenhand._base.distributed import World
from evenhand.criteria import STANDARD, Criterion
from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.heads.gaps import BETA, MIN_CELL, SHRINK, Softness, gap_term, gap_terms
from evenhand.heads.objective import Objective
from evenhand.weights import Weights


def case(groups, classes, n=2000, seed=0, small=0):
    """Labels, groups with unknown ones; ``small`` rows only of the last group with label 1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    codes = rng.integers(-1, groups, n)
    if small:
        cell = np.flatnonzero((labels == 1) & (codes == groups - 1))
        codes[cell[small:]] = -1
    coded = Groups(codes, tuple(f"g{i}" for i in range(groups)))
    return labels, coded, tuple(f"c{i}" for i in range(classes))


def formula(logits, labels, groups, classes, criterion, beta, shrink=SHRINK, least=MIN_CELL):
    """sum_y G/(G-1) sum_g [n/(n+shrink) (m_gy - m_y)]², written as loops, by torch."""
    k = len(classes)
    p = torch.softmax(beta * logits, dim=1)
    if criterion is Criterion.DEMOGRAPHIC_PARITY:
        strata, columns = {None: np.ones(len(labels), bool)}, dict.fromkeys([None], range(k))
    else:
        strata = {y: labels == y for y in range(k)}
        columns = dict.fromkeys(strata, range(k))
    if criterion is Criterion.EQUAL_OPPORTUNITY:
        columns = {y: [y] for y in strata}
        if k == 2:
            strata = {1: strata[1]}
    total = torch.zeros((), dtype=logits.dtype)
    for y, inside in strata.items():
        for j in [1] if k == 2 else columns[y]:
            means, trust = [], []
            for g in range(groups.number):
                rows = inside & (groups.codes == g)
                if rows.sum() >= least:
                    means.append(p[torch.tensor(rows), j].mean())
                    trust.append(rows.sum() / (rows.sum() + shrink))
            if len(means) < 2:
                continue
            centre = sum(t * m for t, m in zip(trust, means, strict=True)) / sum(trust)
            spread = sum((t * (m - centre)) ** 2 for t, m in zip(trust, means, strict=True))
            total = total + len(means) / (len(means) - 1) * spread
    return total


@pytest.mark.parametrize("criterion", STANDARD)
@pytest.mark.parametrize("groups", [2, 3, 4])
@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("small", [0, 10])
def test_value_and_gradient_are_those_of_the_formula(criterion, groups, classes, small):
    labels, coded, names = case(groups, classes, small=small)
    rng = np.random.default_rng(1)
    logits = torch.tensor(rng.normal(size=(len(labels), classes)), requires_grad=True)
    strength = 1.7
    term = gap_term(labels, coded, names, criterion)
    value, gradient = Objective(labels, [term])(logits.detach().numpy(), strength)
    penalty = formula(logits, labels, coded, names, criterion, BETA[criterion])
    nothing = criterion is Criterion.EQUAL_OPPORTUNITY and groups == classes == 2 and small
    assert (float(penalty.detach()) < 1e-6) == bool(nothing)
    assert term.active != bool(nothing)
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(labels)) + strength * penalty
    expected.backward()
    assert value == pytest.approx(float(expected.detach()), abs=1e-12)
    np.testing.assert_allclose(gradient, logits.grad, atol=1e-12, rtol=0)
    by_label = criterion is not Criterion.DEMOGRAPHIC_PARITY
    assert term.dropped == ((((f"g{groups - 1}", "c1"),)) if small and by_label else ())


@pytest.mark.parametrize("groups", [2, 4])
@pytest.mark.parametrize("classes", [2, 3])
def test_predictive_equality_evens_out_the_rows_of_other_labels(groups, classes):
    """The penalty of equalized odds without the probabilities of the rows' own labels."""
    labels, coded, names = case(groups, classes)
    logits = np.random.default_rng(1).normal(size=(len(labels), classes))
    both = formula(torch.tensor(logits), labels, coded, names, Criterion.EQUALIZED_ODDS, 4.0)
    own = formula(torch.tensor(logits), labels, coded, names, Criterion.EQUAL_OPPORTUNITY, 4.0)
    term = gap_term(labels, coded, names, "predictive_equality")
    found, gradient = Objective(labels, [term])(logits, 1.0)
    plain, _ = Objective(labels)(logits, 1.0)
    assert found - plain == pytest.approx(float(both - own), abs=1e-12)
    step = np.zeros_like(logits)
    step[3, 1] = 1e-5
    ahead, behind = (Objective(labels, [term])(logits + s * step, 1.0)[0] for s in (1, -1))
    assert float(gradient[3, 1]) == pytest.approx((ahead - behind) / 2e-5, abs=1e-9)


def test_criteria_are_trained_with_the_soft_gap_of_one_like_them():
    labels, coded, names = case(2, 2)
    for name, other in (("eomax", "eo"), ("dpr", "dp"), ("predictive_equality", "pe")):
        one, same = (gap_term(labels, coded, names, c) for c in (name, other))
        assert np.array_equal(one.contrast, same.contrast)
    with pytest.raises(InputError, match="worst_group_accuracy has no soft gap to train with"):
        gap_term(labels, coded, names, "worst_group_accuracy")


@pytest.mark.parametrize("criterion", STANDARD)
@pytest.mark.parametrize("groups", [2, 4])
def test_one_logit_and_two_agree(criterion, groups):
    labels, coded, names = case(groups, 2)
    terms = gap_terms(labels, coded, names, criterion)
    z = np.random.default_rng(3).normal(size=(len(labels), 1))
    objective = Objective(labels, terms)
    one, slope = objective(z, 2.0)
    for share in (0.0, 0.5, -1.0):
        two, slopes = objective(np.hstack([z * (share - 1), z * share]), 2.0)
        assert two == pytest.approx(one, abs=1e-12)
        np.testing.assert_allclose(slopes[:, 1:], slope, atol=1e-14, rtol=0)
        np.testing.assert_allclose(slopes.sum(axis=1), 0, atol=1e-14)


def test_for_two_large_groups_it_is_the_squared_difference():
    labels, coded, names = case(2, 2, n=60_000)
    z = np.random.default_rng(3).normal(size=(len(labels), 1)) + coded.codes[:, None]
    term = gap_term(labels, coded, names, "dp")
    with_penalty, _ = Objective(labels, [term])(z, 1.0)
    without, _ = Objective(labels)(z, 1.0)
    p = expit(z[:, 0])
    difference = p[coded.codes == 0].mean() - p[coded.codes == 1].mean()
    assert with_penalty - without == pytest.approx(difference**2, rel=0.01)


def test_options_change_what_they_say():
    labels, coded, names = case(2, 2, small=10)
    logits = np.random.default_rng(1).normal(size=(len(labels), 2))
    for options in ({"shrink": 0.0}, {"beta": 2.0}, {"beta": 0.5}, {"min_cell": 1}):
        term = gap_term(labels, coded, names, "eo", weight=3.0, softness=Softness(**options))
        value, _ = Objective(labels, [term])(logits, 1.0)
        chosen = {"beta": 4.0, "shrink": SHRINK, "min_cell": MIN_CELL} | options
        chosen["least"] = chosen.pop("min_cell")
        criterion = Criterion.EQUALIZED_ODDS
        expected = formula(torch.tensor(logits), labels, coded, names, criterion, **chosen)
        plain, _ = Objective(labels)(logits, 1.0)
        assert value - plain == pytest.approx(3 * float(expected))


@pytest.mark.parametrize("criterion", STANDARD)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_row_that_counts_n_times_is_n_rows(criterion, classes):
    labels, coded, names = case(3, classes, n=300)
    counts = np.random.default_rng(0).integers(1, 4, len(labels))
    apart = Groups(np.repeat(coded.codes, counts), coded.names)
    (expected,) = gap_terms(np.repeat(labels, counts), apart, names, criterion)
    (found,) = gap_terms(labels, coded, names, criterion, rows=Weights.of(counts, "frequency"))
    np.testing.assert_array_equal(found.sizes, expected.sizes)
    np.testing.assert_array_equal(found.contrast, expected.contrast)
    np.testing.assert_array_equal(np.repeat(found.cell, counts), expected.cell)
    assert found.dropped == expected.dropped
    assert expected.active


class Three(World):
    """A process beside two others that hold the rows given, labelled 0 alone."""

    def __init__(self, rows):
        super().__init__(rank=0, size=3)
        object.__setattr__(self, "rows", rows)

    def sum(self, values):
        return values + np.pad(self.rows, (0, len(values) - len(self.rows)))


@pytest.mark.parametrize("criterion", ["dp", "eo"])
def test_cells_are_as_large_as_in_all_processes(criterion):
    """40 rows here, 60 elsewhere: a cell too small here counts, one that is not here too."""
    labels, codes = np.zeros(40, int), np.arange(40) % 2
    elsewhere = np.array([10, 10, 40])
    groups = Groups(codes, ("a", "b", "c"))
    (found,) = gap_terms(labels, groups, ("n", "y"), criterion, world=Three(elsewhere))
    assert found.sizes.tolist() == [30, 30, 40]
    everywhere = Groups(np.concatenate([codes, np.repeat([0, 1, 2], elsewhere)]), groups.names)
    (together,) = gap_terms(np.zeros(100, int), everywhere, ("n", "y"), criterion)
    np.testing.assert_array_equal(found.contrast, together.contrast)
    np.testing.assert_array_equal(found.cell, together.cell[:40])


def test_a_mix_is_the_weighted_sum():
    labels, coded, names = case(3, 2)
    logits = np.random.default_rng(1).normal(size=(len(labels), 2))

    def penalty(criteria):
        value, gradient = Objective(labels, gap_terms(labels, coded, names, criteria))(logits, 1.0)
        plain, slope = Objective(labels)(logits, 1.0)
        return value - plain, gradient - slope

    both, slope = penalty({"eo": 2.0, "dp": 0.5})
    eo, eo_slope = penalty("eo")
    dp, dp_slope = penalty("dp")
    assert both == pytest.approx(2 * eo + 0.5 * dp)
    np.testing.assert_allclose(slope, 2 * eo_slope + 0.5 * dp_slope, atol=1e-12)


def test_numbering_of_the_groups_does_not_matter():
    labels, coded, names = case(3, 2)
    other = Groups(np.array([2, 0, 1, -1])[coded.codes], coded.names)
    logits = np.random.default_rng(1).normal(size=(len(labels), 2))
    one = Objective(labels, gap_terms(labels, coded, names, "eo"))(logits, 1.0)
    two = Objective(labels, gap_terms(labels, other, names, "eo"))(logits, 1.0)
    assert one[0] == pytest.approx(two[0], abs=1e-14)
    np.testing.assert_allclose(one[1], two[1], atol=1e-15, rtol=0)


def test_where_there_is_nothing_to_even_out_the_term_is_inactive():
    labels = np.array([0, 1] * 50)
    for codes in (np.zeros(100, int), np.full(100, -1)):
        term = gap_term(labels, Groups(codes, ("a", "b")), ("n", "y"), "eo")
        assert not term.active
    few = gap_term(labels[:20], Groups(np.arange(20) % 2, ("a", "b")), ("n", "y"), "dp")
    assert not few.active
    assert few.dropped == (("a", "any"), ("b", "any"))


def test_bad_input_is_named():
    labels, coded, names = case(2, 2)
    with pytest.raises(InputError, match="unknown criterion 'oe'"):
        gap_terms(labels, coded, names, "oe")
    for weight in (0, -1, float("nan")):
        with pytest.raises(InputError, match="weight of eo must be positive"):
            gap_terms(labels, coded, names, {"eo": weight})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([0, 2, 1])}, r"labels must lie in \[0, 2\), found 0 to 2"),
        ({"labels": np.array([0.0, 1.0, 1.0])}, "labels must be integers"),
        ({"labels": np.array([0, 1])}, "differ in length: 2 and 3"),
        ({"weight": np.inf}, "found weight inf"),
        ({"weight": 0.0}, "found weight 0.0"),
        ({"beta": np.nan}, "beta nan"),
        ({"shrink": -1}, "shrink -1"),
    ],
)
def test_a_term_of_what_cannot_be_is_named(change, message):
    given = {"labels": np.array([0, 1, 1]), "weight": 1.0} | change
    softness = Softness(**{k: v for k, v in given.items() if k in ("beta", "shrink")})
    groups = Groups(np.array([0, 1, 0]), ("a", "b"))
    with pytest.raises(InputError, match=message):
        gap_term(
            given["labels"],
            groups,
            ("no", "yes"),
            "eo",
            weight=given["weight"],
            softness=softness,
        )
    for weight in (0.0, np.nan, np.inf):
        with pytest.raises(InputError, match="must be positive"):
            gap_terms(np.array([0, 1, 1]), groups, ("no", "yes"), {"eo": weight})


def test_the_defaults_are_the_methods():
    assert (SHRINK, MIN_CELL) == (50, 30)
    assert [BETA[c] for c in ("demographic_parity", "equalized_odds", "equal_opportunity")] == [
        1,
        4,
        4,
    ]


def test_a_term_is_a_value_that_does_not_change():
    labels, coded, names = case(2, 2)
    term = gap_term(labels, coded, names, "dp", weight=0.5, softness=Softness(shrink=0))
    assert len({term, gap_term(labels, coded, names, "dp")}) == 2
    with pytest.raises(FrozenInstanceError):
        term.beta = 2.0
    soft = (Softness(shrink=np.inf), Softness(0.0), Softness(np.inf))
    for change in (*({"softness": each} for each in soft), {"weight": -1.0}):
        with pytest.raises(InputError, match="weight and beta must be above 0"):
            gap_term(labels, coded, names, "dp", **change)


def test_a_cell_of_just_enough_rows_counts_and_an_empty_one_is_not_named():
    codes = np.array([0] * 30 + [1] * 29 + [2] * 30 + [3])
    groups = Groups(codes, ("a", "b", "c", "d", "nobody"))
    term = gap_term(np.zeros(90, int), groups, ("n", "y"), "dp")
    assert term.sizes.tolist() == [30, 30]
    assert term.dropped == (("b", "any"), ("d", "any"))
    assert (
        gap_term(np.zeros(90, int), groups, ("n", "y"), "dp", softness=Softness(min_cell=0)).dropped
        == ()
    )
    assert gap_term(
        np.zeros(90, int), groups, ("n", "y"), "dp", softness=Softness(min_cell=1)
    ).sizes.tolist() == [
        30,
        29,
        30,
        1,
    ]


@pytest.mark.parametrize("classes", [2, 3])
def test_equal_opportunity_of_rows_of_unknown_group_and_other_labels(classes):
    labels, coded, names = case(2, classes, n=400)
    term = gap_term(labels, coded, names, "eopp")
    nowhere = len(term.sizes)
    outside = ~coded.known | ((labels != 1) if classes == 2 else False)
    assert (term.cell[outside] == nowhere).all()
    assert (term.cell[~outside] < nowhere).all()
    assert term.sizes.sum() == (~outside).sum()


def test_a_mix_takes_one_steepness():
    labels, coded, names = case(2, 2)
    assert [t.beta for t in gap_terms(labels, coded, names, {"eo": 1, "dp": 1})] == [4, 1]
    assert [t.beta for t in gap_terms(labels, coded, names, {"eo": 1, "dp": 1}, beta=2)] == [2, 2]
