import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peer_problems import make_problem, make_rows, measured

from evenhand.errors import InputError
from evenhand.experiments.methods.logistic import fit_head
from evenhand.experiments.methods.reweighing import independence_weights, reweighing
from evenhand.groups import Groups
from evenhand.rows import Rows


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_under_the_weights_group_and_label_are_independent(pairs):
    codes, labels = (np.array(each) for each in zip(*pairs, strict=True))
    rows = Rows(np.zeros((len(pairs), 1)), labels, Groups(codes, ("a", "b", "c")), tuple("xyz"))
    weights = independence_weights(rows)
    assert (weights[codes == -1] == 1).all()
    table, plain = np.zeros((3, 3)), np.zeros((3, 3))
    known = codes >= 0
    np.add.at(table, (codes[known], labels[known]), weights[known])
    np.add.at(plain, (codes[known], labels[known]), 1)
    if (plain[plain.sum(1) > 0][:, plain.sum(0) > 0] > 0).all() and plain.sum():
        expected = np.outer(plain.sum(1), plain.sum(0)) / plain.sum()
        assert np.allclose(table, expected)


def test_a_power_of_zero_is_transfer_learning_and_one_lowers_the_gap():
    problem, test = make_problem(n=3000)
    (_, plain), (name, whole) = reweighing((0, 1))(problem)
    head = fit_head(problem.train, problem.ridge)
    assert np.allclose(plain.head.weight, head.weight)
    assert str(name) == "power=1"
    assert measured(whole, test, "eo")[1] < measured(plain, test, "eo")[1]
    assert whole.trainable_parameters == 12


def test_it_serves_more_groups_and_classes():
    problem, test = make_problem(groups=3, classes=3, unknown=0.1)
    for _, fitted in reweighing()(problem):
        assert measured(fitted, test, "dp")[0] < 66


def test_a_single_group_is_refused():
    problem, _ = make_problem()
    rows = problem.train[problem.train.groups.codes == 0]
    with pytest.raises(InputError, match="two groups"):
        reweighing()(type(problem)(rows, problem.valid, problem.head))


def test_rows_are_never_changed():
    rows = make_rows(100)
    before = rows.features.copy()
    independence_weights(rows)
    assert np.array_equal(rows.features, before)
