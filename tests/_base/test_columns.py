"""Columns of every library, read by position, whatever their index or type."""

import datetime
import decimal
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand._base.columns import MOST_DENSE, column, columns, dense, rows
from evenhand.errors import InputError

polars = pytest.importorskip("polars")
arrow = pytest.importorskip("pyarrow")
VALUES = {
    "whole": st.integers(-(2**31), 2**31 - 1),
    "real": st.floats(allow_nan=False, width=32),
    "truth": st.booleans(),
    "text": st.text(max_size=5),
}
SHUFFLED = np.random.default_rng(0)


def ways(values, kind):
    """The same column as every library holds it."""
    listed = list(values)
    index = SHUFFLED.permutation(len(listed))
    yield listed
    yield tuple(listed)
    yield pd.Series(listed, index=index)
    yield pd.Series(listed, index=["same"] * len(listed), dtype=object)
    yield pd.Series(listed, index=index).astype("category")
    yield pd.DataFrame({"a": listed}, index=index)
    yield polars.Series("a", listed)
    yield polars.DataFrame({"a": listed})
    yield arrow.array(listed)
    yield arrow.chunked_array([listed[:1], listed[1:]])
    yield arrow.table({"a": listed})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # older pandas casts infinity
        nullable = pd.Series(listed, index=index).convert_dtypes()
    yield nullable
    if kind == "text":
        yield pd.Series(listed, dtype=pd.ArrowDtype(arrow.string()))
        yield arrow.array(listed).dictionary_encode()
        return
    yield np.array(listed)
    yield np.array(listed)[:, None]
    yield torch.as_tensor(np.array(listed))
    yield [[value] for value in listed]


@pytest.mark.parametrize("kind", VALUES)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_column_is_the_same_from_every_library(kind, data):
    values = data.draw(st.lists(VALUES[kind], min_size=2, max_size=8))
    for way in ways(values, kind):
        assert column(way, "labels").tolist() == values, type(way)


@pytest.mark.parametrize(
    "missing",
    [
        ["a", None],
        ["a", float("nan")],
        pd.Series(["a", pd.NA], dtype="string"),
        polars.Series(["a", None]),
        arrow.array(["a", None]),
        np.ma.array(["a", "b"], mask=[False, True]),
        pd.Categorical(["a", None]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_missing_is_none_in_every_library(missing):
    assert column(missing, "groups").tolist() == ["a", None]


def test_other_values_keep_what_they_are():
    day = datetime.date(2020, 1, 2)
    assert column(polars.Series([day]), "groups").tolist() == [day]
    assert column([decimal.Decimal("1.5")], "groups").tolist() == [decimal.Decimal("1.5")]
    assert column(np.array([1.5], dtype=np.float16), "labels").tolist() == [1.5]
    assert column([np.int8(3), torch.tensor(4)], "labels").tolist() == [3, 4]
    assert column(torch.tensor([1.5], dtype=torch.bfloat16), "labels").tolist() == [1.5]
    assert column([10**400], "groups").tolist() == [10**400]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (polars.Series([[1], [2, 3]]), "labels hold a list in row 0"),
        (polars.Series([{"a": 1}]), "labels hold a dict in row 0"),
        (polars.Series([b"a"]), "labels hold a bytes in row 0"),
        (arrow.array([None, [1]]), "labels hold a list in row 1"),
        (arrow.array([b"a"]), "labels hold a bytes"),
        (pd.Series([np.zeros(2)]), "labels hold a ndarray"),
        (np.array([b"a"]), "labels hold bytes"),
        (np.zeros((2, 2, 2)), r"shape \(N,\), found \(2, 2, 2\)"),
        (np.array(3), r"shape \(N,\), found \(\)"),
        (np.zeros((2, 3)), "must be one column, found 3"),
        ("abc", "one value for each row, found a str"),
        ({"a": 1}, "found a dict"),
        (3, "found a int"),
        (polars.DataFrame({"a": [1]}).lazy(), "collect"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "several columns named 'a'"),
    ],
    ids=str,
)
def test_what_is_no_column_is_refused_by_name(values, words):
    with pytest.raises(InputError, match=words):
        column(values, "labels")


def test_several_columns_keep_their_names():
    frame = pd.DataFrame({"sex": ["F", "M"], 7: [1, 2]}, index=[5, 3])
    assert {n: v.tolist() for n, v in columns(frame, "groups").items()} == {
        "sex": ["F", "M"], "7": [1, 2]
    }  # fmt: skip
    assert list(columns([("F", 1), ("M", 2)], "groups")) == ["1", "2"]


@pytest.mark.parametrize("make", [pd.DataFrame, polars.DataFrame, arrow.table])
def test_frames_are_rows_of_numbers_by_position(make):
    frame = make({"a": [1, 2], "b": [0.5, 1.5], "c": [True, False]})
    np.testing.assert_array_equal(rows(frame, "inputs"), [[1, 0.5, 1], [2, 1.5, 0]])
    with pytest.raises(InputError, match=r"column 'b' of inputs is not of numbers.*tasks\.table"):
        rows(make({"a": [1, 2], "b": ["x", "y"]}), "inputs")


def test_series_and_other_sequences_as_inputs():
    assert rows(pd.Series(["b", "a"], index=[1, 0]), "inputs") == ["b", "a"]
    assert rows(polars.Series([[1.0, 2.0], [3.0, 4.0]]), "inputs") == [[1.0, 2.0], [3.0, 4.0]]
    images = [object(), object()]
    assert rows(images, "inputs") is images
    array = np.zeros((2, 3))
    assert rows(array, "inputs") is array


def test_sparse_matrices_are_made_dense_up_to_a_size():
    from scipy import sparse

    draw = np.random.default_rng(0)
    matrix = sparse.csr_array(draw.normal(size=(5, 4)) * (draw.random((5, 4)) < 0.5))
    np.testing.assert_array_equal(rows(matrix, "inputs"), matrix.toarray())
    huge = sparse.csr_array((2, MOST_DENSE), dtype=np.int8)
    with pytest.raises(InputError, match="sparse matrix"):
        dense(huge, "inputs")
