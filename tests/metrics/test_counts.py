from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.metrics import Counts
from evenhand.weights import Weights

CLASSES = ("a", "b", "c")


def rows(n, seed):
    rng = np.random.default_rng(seed)
    groups = Groups(rng.integers(-1, 3, n), ("x", "y", "z"), "letter")
    return rng.integers(0, 3, n), rng.integers(0, 3, n), groups


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 999))
def test_counts_are_the_confusion_matrix_of_each_group(n, seed):
    y, p, groups = rows(n, seed)
    counts = Counts.of(y, p, groups, CLASSES)
    assert counts.table.shape == (3, 3, 3)
    for code in range(-1, 3):
        mine = groups.codes == code
        found = counts.unknown if code < 0 else counts.table[code]
        if mine.any():
            assert np.array_equal(found, confusion_matrix(y[mine], p[mine], labels=[0, 1, 2]))
        else:
            assert found.sum() == 0
    assert len(counts) == n
    if n:
        assert np.array_equal(counts.total, confusion_matrix(y, p, labels=[0, 1, 2]))
    assert np.array_equal(counts.sizes, groups.sizes)
    assert np.array_equal(counts.cells.sum(axis=1), counts.sizes)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_counts_of_parts_add_to_the_counts_of_all(n, cut):
    y, p, groups = rows(n, 1)
    first, second = slice(None, cut), slice(cut, None)
    parts = [Counts.of(y[s], p[s], groups[s], CLASSES) for s in (first, second)]
    whole = Counts.of(y, p, groups, CLASSES)
    assert np.array_equal((parts[0] + parts[1]).table, whole.table)
    assert np.array_equal((parts[0] + parts[1]).unknown, whole.unknown)


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([0, 1], [0], "2, 1 and 2"),
        ([0, 3], [0, 0], "labels must lie in"),
        ([0, 0], [0, -1], "predictions must lie in"),
        ([0.0, 1.0], [0, 1], "labels must be integers"),
    ],
)
def test_what_cannot_be_counted_is_named(labels, predictions, message):
    with pytest.raises(InputError, match=message):
        Counts.of(labels, predictions, Groups(np.array([0, 1]), ("x", "y")), CLASSES)


def test_counts_of_other_groups_cannot_be_added():
    one = Counts(np.zeros((1, 2, 2), int), np.zeros((2, 2), int), ("x",), ("a", "b"))
    other = Counts(np.zeros((1, 2, 2), int), np.zeros((2, 2), int), ("y",), ("a", "b"))
    with pytest.raises(InputError, match="different groups or classes"):
        one + other


def test_counts_of_another_shape_are_named():
    with pytest.raises(InputError, match=r"2 groups and 2 classes have shapes \(2, 2, 2\)"):
        Counts(np.zeros((1, 2, 2)), np.zeros((2, 2)), ("x", "y"), ("a", "b"))
    with pytest.raises(InputError, match=r"found \(1, 2, 2\) and \(3, 3\)"):
        Counts(np.zeros((1, 2, 2)), np.zeros((3, 3)), ("x",), ("a", "b"))


def test_counts_stay_as_they_were_made_and_are_only_equal_to_themselves():
    one, other = (
        Counts(np.zeros((1, 2, 2), int), np.zeros((2, 2), int), ("x",), ("a", "b"))
        for _ in range(2)
    )
    with pytest.raises(FrozenInstanceError):
        one.table = other.table
    assert one != other
    assert len({one, other}) == 2


def test_counts_have_labels_unless_they_say_otherwise():
    made = Counts(np.ones((1, 2, 2), int), np.zeros((2, 2), int), ("x",), ("a", "b"))
    assert made.labelled
    assert Counts.of([0], [0], Groups(np.array([0]), ("x",)), ("a", "b")).labelled


def weighted(n, seed, kind="survey"):
    y, p, groups = rows(n, seed)
    weights = Weights.of(np.random.default_rng(seed).gamma(2, 1, n) + 0.1, kind)
    return (y, p, groups, weights), Counts.of(y, p, groups, CLASSES, weights)


def test_weighted_rows_count_their_weights_and_keep_the_sums_of_squares():
    (y, p, groups, weights), counts = weighted(80, 3)
    tables, squares = np.zeros((4, 3, 3)), np.zeros((4, 3))
    for label, decision, code, weight in zip(y, p, groups.codes, weights.values, strict=True):
        tables[code, label, decision] += weight  # -1, the last, is unknown
        squares[code, label] += weight**2
    np.testing.assert_allclose(counts.table, tables[:3])
    np.testing.assert_allclose(counts.unknown, tables[3])
    np.testing.assert_allclose(counts.squares, squares)
    known = Groups(np.array([0, 0]), ("x", "y", "z"))  # groups without rows have none
    found = Counts.of([0, 1], [0, 0], known, CLASSES, Weights.of([2.0, 3.0]))
    np.testing.assert_array_equal(found.squares, [[4, 9, 0], [0] * 3, [0] * 3, [0] * 3])
    plain = Counts.of(y, p, groups, CLASSES)
    assert plain.squares is None
    assert plain.table.dtype == np.int64


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
def test_plain_rows_added_to_weighted_ones_count_one_each(first, second):
    parts, ones = [], []
    for seed, given_weights in ((4, first), (5, second)):
        (y, p, groups, weights), counts = weighted(50, seed)
        parts.append(counts if given_weights else Counts.of(y, p, groups, CLASSES))
        own = weights if given_weights else Weights.of(np.ones(50), "survey")
        ones.append(Counts.of(y, p, groups, CLASSES, own))
    both = parts[0] + parts[1]
    np.testing.assert_allclose(both.squares, ones[0].squares + ones[1].squares)
    np.testing.assert_allclose(both.table, ones[0].table + ones[1].table)


def test_plain_rows_added_to_plain_ones_have_no_squares():
    y, p, groups = rows(30, 0)
    counts = Counts.of(y, p, groups, CLASSES)
    assert (counts + counts).squares is None
    assert counts.effective("accuracy_parity") is counts.table
    assert np.array_equal(counts.effective_total, counts.total)


def test_the_effective_total_has_kishs_rows():
    (_, _, _, weights), counts = weighted(80, 6)
    values = weights.values
    kish = values.sum() ** 2 / (values**2).sum()
    assert counts.effective_total.sum() == pytest.approx(kish)
    np.testing.assert_allclose(counts.effective_total / kish, counts.total / values.sum())
    some = replace(counts, squares=counts.squares * np.eye(4, 3))  # cells without weighted rows
    assert not np.array_equal(some.effective_total, some.total)
    none = replace(counts, squares=np.zeros((4, 3)))
    assert np.array_equal(none.effective_total, none.total)
    repeated = weighted(80, 6, "frequency")[1]
    np.testing.assert_allclose(repeated.effective("equalized_odds"), repeated.table)


def test_effective_counts_leave_the_unknown_group_out():
    (_, _, groups, weights), counts = weighted(300, 7)
    code = groups.codes == 0
    own = weights.values[code]
    cells = counts.effective_cells("accuracy_parity")
    assert cells.shape == (3, 3)
    assert cells[0].sum() == pytest.approx(own.sum() ** 2 / (own**2).sum())
    assert counts.effective("accuracy_parity").shape == (3, 3, 3)
