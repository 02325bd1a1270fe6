import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.errors import InputError
from evenhand.groups import Groups, as_groups


def test_labels_become_codes_in_the_order_of_their_names():
    groups = Groups.from_values(["M", "F", None, "F", float("nan"), pd.NA], "sex")
    assert groups.names == ("F", "M")
    assert groups.codes.tolist() == [1, 0, -1, 0, -1, -1]
    assert groups.sizes.tolist() == [2, 1]
    assert groups.known.tolist() == [True, True, False, True, False, False]
    assert (groups.number, len(groups), groups.attribute) == (2, 6, "sex")


def test_integers_keep_their_name_where_a_missing_value_makes_them_floats():
    assert Groups.from_values([0, 1, None]).names == Groups.from_values([0, 1]).names
    assert Groups.from_values(np.array([0.0, np.nan, 1.0])).names == ("0", "1")


def test_minus_one_among_integer_codes_is_unknown():
    groups = as_groups(np.array([1, -1, 0, 1]))
    assert groups.names == ("0", "1")
    assert groups.codes.tolist() == [1, -1, 0, 1]


def test_only_crossings_that_occur_count_and_a_missing_part_is_unknown():
    groups = Groups.crossed({"sex": ["F", "M", "F", None], "race": ["x", "x", "x", "y"]})
    assert groups.names == ("F × x", "M × x")
    assert groups.codes.tolist() == [0, 1, 0, -1]
    assert groups.attribute == "sex × race"


def test_one_crossed_column_is_that_column():
    assert Groups.crossed({"sex": ["F", "M"]}).names == ("F", "M")


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((2, 2), dtype=int), r"shape \(N,\), found \(2, 2\)"),
        (np.array([0.0, 1.0]), "must be integers, found dtype float64"),
        (np.array([0, 2]), r"in \[-1, 2\) for 2 names, found 0 to 2"),
        (np.array([-2, 0]), "found -2 to 0"),
    ],
)
def test_codes_that_cannot_be_are_refused(codes, message):
    with pytest.raises(InputError, match=message):
        Groups(codes, ("a", "b"))


def test_columns_of_different_lengths_are_refused_by_name():
    with pytest.raises(InputError, match=r"'sex': 2, 'race': 1"):
        Groups.crossed({"sex": ["F", "M"], "race": ["x"]})
    with pytest.raises(InputError, match=r"at least one column"):
        Groups.crossed({})


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=30))
def test_codes_stand_for_the_labels_given(values):
    groups = Groups.from_values(values)
    assert [(*groups.names, None)[code] for code in groups.codes] == values
    assert groups.sizes.sum() == sum(v is not None for v in values)
    assert list(groups.names) == sorted(groups.names)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=20), st.randoms())
def test_a_selection_of_rows_keeps_the_names(codes, random):
    groups = Groups(np.array(codes), ("a", "b", "c"), "team")
    rows = [random.randrange(len(codes)) for _ in range(5)]
    part = groups[rows]
    assert part.codes.tolist() == [codes[i] for i in rows]
    assert (part.names, part.attribute) == (groups.names, "team")
