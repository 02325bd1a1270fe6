import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evenhand.errors import InputError
from evenhand.fisher.head_fisher import head_fisher
from evenhand.fisher.neutralize import FLOOR, alpha_weights, neutralize
from evenhand.fisher.sums import GroupFisher


def fisher(sums, counts=None, names=None):
    sums = np.asarray(sums, dtype=float)
    counts = np.ones(len(sums), int) if counts is None else np.array(counts)
    return GroupFisher(sums, counts, names or tuple("abcdef"[: len(sums)]))


def test_the_mean_of_the_roots_not_the_root_of_the_mean():
    found = neutralize(fisher([[4.0, 1.0], [16.0, 9.0]]))
    np.testing.assert_allclose(found, [3.0, 2.0])


def test_group_means_not_sums_are_balanced():
    few, many = fisher([[4.0], [16.0]], [1, 4]), fisher([[4.0], [4.0]])
    np.testing.assert_allclose(neutralize(few), neutralize(many))


def test_weights_by_group():
    found = neutralize(fisher([[4.0, 1.0], [16.0, 9.0]]), {"a": 0.75, "b": 0.25})
    np.testing.assert_allclose(found, [2.5, 1.5])
    assert alpha_weights(fisher([[1.0]] * 3), 0.6) == pytest.approx({"a": 0.6, "b": 0.2, "c": 0.2})


def test_group_agnostic_is_over_all_rows():
    found = neutralize(fisher([[4.0], [32.0]], [1, 3]), "group-agnostic")
    np.testing.assert_allclose(found, [3.0])


def test_random_spans_two_decades_and_follows_its_seed():
    many = fisher(np.ones((2, 500)))
    one = neutralize(many, "random", seed=3)
    assert 0.1 <= one.min() < 0.2
    assert 5 < one.max() <= 10
    np.testing.assert_array_equal(one, neutralize(many, "random", seed=3))
    assert not np.array_equal(one, neutralize(many, "random", seed=4))


def test_dead_rows_get_the_floor():
    assert neutralize(fisher([[0.0, 4.0], [0.0, 4.0]])).tolist() == [2 * FLOOR, 2.0]
    assert neutralize(fisher([[0.0, 0.0]])).tolist() == [1.0, 1.0]


def test_a_mapping_of_layers(trained):
    rows, head = trained(n=60)
    one = head_fisher(rows, head)
    found = neutralize({"x": one, "y": one + one})
    np.testing.assert_allclose(found["x"], neutralize(one))
    np.testing.assert_allclose(found["x"], found["y"])


@given(
    arrays(np.float64, (3, 6), elements=st.floats(0, 1e6)),
    st.permutations([0, 1, 2]),
    st.floats(1e-3, 1e3),
)
def test_numbering_of_the_groups_does_not_matter_and_scale_only_scales(sums, order, scale):
    one = neutralize(fisher(sums))
    other = neutralize(fisher(sums[order], names=tuple("abc"[i] for i in order)))
    np.testing.assert_allclose(one, other)
    assert (one > 0).all()
    if sums.max() > 1e-3:
        np.testing.assert_allclose(neutralize(fisher(sums * scale**2)), one * scale, rtol=1e-9)


def test_bad_input_is_named():
    two = fisher([[1.0], [1.0]], [3, 0])
    with pytest.raises(InputError, match=r"group 'b' has 0 rows, so its importance is undefined"):
        neutralize(two)
    assert neutralize(two, {"a": 1.0}) == pytest.approx(3**-0.5)
    with pytest.raises(InputError, match=r"no group 'z'; the groups are a, b"):
        neutralize(two, {"z": 1.0})
    with pytest.raises(InputError, match=r"sum to 1"):
        neutralize(two, {"a": 0.5, "b": 0.6})
    with pytest.raises(InputError, match=r"at least 0"):
        neutralize(two, {"a": 1.5, "b": -0.5})
    with pytest.raises(InputError, match=r"unknown weights 'median': use mean, group-agnostic"):
        neutralize(two, "median")
    with pytest.raises(InputError, match=r"\[0, 1\], found 2"):
        alpha_weights(two, 2.0)
    with pytest.raises(InputError, match=r"one only: 'a'"):
        alpha_weights(fisher([[1.0]]), 0.5)


def test_what_holds_no_group_or_is_not_finite_is_refused():
    none = GroupFisher(np.zeros((0, 2)), np.zeros(0, int), (), unknown=5)
    for weights in ("mean", "group-agnostic"):
        with pytest.raises(InputError, match=r"no group"):
            neutralize(none, weights)
    with pytest.raises(InputError, match=r"no group"):
        alpha_weights(none, 0.5)
    for bad in (np.nan, np.inf):
        with pytest.raises(InputError, match=r"NaN or infinity"):
            neutralize(fisher([[bad, 1.0], [1.0, 1.0]]))
    with pytest.raises(InputError, match=r"0 rows"):
        neutralize(fisher([[0.0], [0.0]], [0, 0]), "group-agnostic")
    for floor in (np.nan, -0.1, 2.0):
        with pytest.raises(InputError, match=r"share of the largest importance, in \[0, 1\]"):
            neutralize(fisher([[1.0], [1.0]]), floor=floor)
    with pytest.raises(InputError, match="sum to 1"):
        neutralize(fisher([[1.0], [1.0]]), {"a": np.nan, "b": 1.0})


def test_without_a_floor_dead_rows_still_weigh_something():
    weights = neutralize(fisher([[0.0, 1.0], [0.0, 1.0]]), floor=0.0)
    assert 0 < weights[0] < 1e-300


def test_settings_reach_every_layer():
    assert FLOOR == 1e-3
    one = fisher([[0.0, 1.0], [0.0, 1.0]])
    both = neutralize({"x": one, "y": one}, floor=0.25)
    assert both["x"] == pytest.approx([0.25, 1])
    assert neutralize(one, floor=1) == pytest.approx([1, 1])
    drawn = neutralize({"x": one}, "random", seed=3)["x"]
    assert np.array_equal(drawn, neutralize(one, "random", seed=3))
    assert not np.array_equal(drawn, neutralize({"x": one}, "random")["x"])
    assert np.array_equal(neutralize(one, "random"), neutralize(one, "random", seed=0))


def test_the_ends_of_what_is_allowed():
    two = fisher([[1.0], [4.0]])
    assert alpha_weights(two, 0.0) == {"a": 0.0, "b": 1.0}
    assert alpha_weights(two, 1) == {"a": 1, "b": 0}
    lone = fisher([[1.0], [0.0]], [4, 0])
    assert neutralize(lone, "group-agnostic") == pytest.approx(0.5)
    with pytest.raises(InputError, match="sum to 1"):
        neutralize(two, {"a": 0.5, "b": 0.5 + 2e-9})
    assert neutralize(two, {"a": 0.5, "b": 0.5 + 7e-10}) > 0
    none = GroupFisher(np.zeros((2, 0)), np.ones(2, int), ("a", "b"))
    assert neutralize(none).shape == (0,)
