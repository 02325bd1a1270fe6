"""Tasks from what a caller holds: the same task whatever library its parts come from."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.errors import InputError
from evenhand.groups import Groups, as_groups
from evenhand.tasks.from_arrays import task_of
from evenhand.tasks.given_labels import code_splits
from evenhand.tasks.task import Examples

polars = pytest.importorskip("polars")
arrow = pytest.importorskip("pyarrow")
N = 12
rng = np.random.default_rng(0)
X = rng.normal(size=(N, 2)).astype(np.float32)
Y = rng.integers(0, 2, N)
G = np.array(["b", "a"])[rng.integers(0, 2, N)]
Y[:2], G[:2] = [0, 1], ["a", "b"]
INDEX = rng.permutation(N) + 3
PART = (X, Y, G)
NAMES = ["no", "yes"]


def made(train, classes=None):
    return task_of(train, PART, PART, "sex", classes, "t")


FORMS = {
    "pandas": lambda: (
        pd.DataFrame(X, index=INDEX), pd.Series(Y, index=INDEX), pd.Series(G, index=INDEX)
    ),
    "frames": lambda: (
        pd.DataFrame(X, index=INDEX), pd.DataFrame({"y": Y}), pd.DataFrame({"g": G}, index=INDEX)
    ),
    "polars": lambda: (
        polars.DataFrame({"0": X[:, 0], "1": X[:, 1]}), polars.Series(Y), polars.Series(G)
    ),
    "arrow": lambda: (
        arrow.table({"0": X[:, 0], "1": X[:, 1]}), arrow.array(Y), arrow.array(G.tolist())
    ),
    "columns": lambda: (X, Y[:, None], G[:, None]),
    "torch": lambda: (torch.as_tensor(X), torch.as_tensor(Y), G.tolist()),
    "lists": lambda: (X.tolist(), Y.tolist(), list(G)),
    "float16 labels": lambda: (X, Y.astype(np.float16), G),
    "categories": lambda: (X, pd.Categorical(Y), pd.Series(G, index=INDEX, dtype="category")),
    "Groups": lambda: (X, Y, as_groups(G)),
    "mapping": lambda: {"inputs": pd.DataFrame(X, index=INDEX), "labels": Y, "sex": G},
    "Examples": lambda: Examples(pd.DataFrame(X, index=INDEX), pd.Series(Y, index=INDEX), G),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_task(form):
    expected, found = made(PART), made(FORMS[form]())
    assert found.classes == expected.classes == ("0", "1")
    assert found.train.groups.names == ("a", "b")
    assert found.attribute == "sex"
    np.testing.assert_array_equal(np.asarray(found.train.inputs, np.float32), X)
    np.testing.assert_array_equal(found.train.labels, Y)
    np.testing.assert_array_equal(found.train.groups.codes, expected.train.groups.codes)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(N)), st.sampled_from([INDEX.tolist(), [0] * N, list("abcdefghijkl")]))
def test_an_index_changes_nothing(order, index):
    rows = list(order)
    task = made(
        (
            pd.DataFrame(X[rows], index=index),
            pd.Series(Y[rows], index=index[::-1]),
            pd.Series(G[rows], index=index),
        )
    )
    np.testing.assert_array_equal(task.train.inputs, X[rows])
    np.testing.assert_array_equal(task.train.labels, Y[rows])
    assert [task.train.groups.names[c] for c in task.train.groups.codes] == G[rows].tolist()


@pytest.mark.parametrize(
    ("labels", "classes", "expected", "names"),
    [
        (np.array(NAMES)[Y], None, Y, ("no", "yes")),
        (np.array(NAMES)[Y], ["yes", "no"], 1 - Y, ("yes", "no")),
        (Y + 1, None, Y, ("1", "2")),
        (2 * Y - 1, None, Y, ("-1", "1")),
        (Y.astype(bool), None, Y, ("False", "True")),
        (Y.astype(float), None, Y, ("0", "1")),
        ([Decimal(int(y)) for y in Y], None, Y, ("0", "1")),
        (2 * Y, None, 2 * Y, ("0", "1", "2")),
        (Y, ["no", "yes"], Y, ("no", "yes")),
        (Y + 1, ["1", "2"], Y, ("1", "2")),
        (Y, ["a", "b", "c"], Y, ("a", "b", "c")),
    ],
    ids=lambda value: str(value)[:25],
)
def test_labels_of_any_kind(labels, classes, expected, names):
    codes, found, _ = code_splits({"train": labels, "test": labels}, classes)
    np.testing.assert_array_equal(codes["train"], expected)
    np.testing.assert_array_equal(codes["test"], expected)
    assert found == names


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        ([0, 50_000_000], None, "50,000,001 classes .2 different"),
        ([0.5, 1.5], None, "found 0.5, 1.5"),
        ([-1, 0, 1], None, "found -1, 0, 1"),
        ([3, 7], None, "found 3, 7"),
        ([0, 10**400], None, "must be integers"),
        ([0, 1e300], None, "must be integers"),
        ([0, None], None, "1 of 2 labels of train are missing"),
        ([0.0, float("nan")], None, "1 of 2 labels of train are missing"),
        (["a", "c"], ["a", "b"], "label 'c' .1 such values. is not among the classes a, b"),
        ([0, 5], ["a", "b"], "label '0'"),
        ([b"a", b"b"], None, "bytes"),
        ([0.25, "yes", "no"], None, "labels of train mix numbers and texts"),
        ([True, 0, 1], None, "labels of train mix booleans and numbers"),
        ([[0], [1, 2]], None, "list"),
    ],
    ids=str,
)
def test_labels_that_say_nothing_are_refused(labels, classes, words):
    with pytest.raises(InputError, match=words):
        code_splits({"train": labels}, classes)


def test_splits_must_agree():
    with pytest.raises(InputError, match="texts in train, numbers in valid"):
        made((X, np.array(NAMES)[Y], G))
    with pytest.raises(InputError, match=r"groups of valid are the columns .one without a name"):
        made((X, Y, pd.DataFrame({"sex": G, "race": G})))
    frame = pd.DataFrame(X, columns=["a", "b"])
    with pytest.raises(InputError, match="columns in another order"):
        task_of((frame, Y, G), (frame[["b", "a"]], Y, G), (frame, Y, G), "sex", None, "t")
    other = frame.rename(columns={"b": "c"})
    with pytest.raises(InputError, match="other columns than train's, such as 'b'"):
        task_of((frame, Y, G), (other, Y, G), (frame, Y, G), "sex", None, "t")


@pytest.mark.parametrize(
    ("values", "names", "unknown"),
    [
        ([-1, 1, 1, -1], ("-1", "1"), 0),
        ([-1, 0, 1, 1], ("0", "1"), 1),
        ([-1.0, 1.0], ("-1", "1"), 0),
        ([-1, 1, None], ("-1", "1"), 1),
        ([True, False], ("False", "True"), 0),
        (["-1", "x"], ("-1", "x"), 0),
        (np.array([[1], [2]]), ("1", "2"), 0),
    ],
    ids=str,
)
def test_groups_as_arrays(values, names, unknown):
    groups = as_groups(values)
    assert groups.names == names
    assert int((~groups.known).sum()) == unknown


def test_several_group_columns_are_crossed():
    frame = pd.DataFrame({"sex": ["F", "M", "F"], "old": [1, 0, None]}, index=[9, 9, 9])
    for values in (frame, polars.from_pandas(frame), arrow.Table.from_pandas(frame)):
        groups = as_groups(values)
        assert groups.attribute == "sex × old"
        assert groups.names == ("F × 1", "M × 0")
        assert groups.codes.tolist() == [0, 1, -1]
    parts = [(X, Y, pd.DataFrame({"sex": G, "old": Y}))] * 3
    task = task_of(*parts, "group", None, "t")
    assert task.attribute == "sex × old"
    assert isinstance(task.train.groups, Groups)


def test_too_many_groups_are_refused_before_anything_is_allocated():
    many = (np.zeros((300, 1), np.float32), np.arange(300) % 2, np.arange(300))
    with pytest.raises(InputError, match="300 groups, more than 200"):
        task_of(many, many, many, "sex", None, "t")


def test_inputs_without_rows_are_refused():
    with pytest.raises(InputError, match="the inputs of train must be rows"):
        made(("abc", Y, G))
    with pytest.raises(InputError, match="not of numbers"):
        made((pd.DataFrame({"city": G}), Y, G))
