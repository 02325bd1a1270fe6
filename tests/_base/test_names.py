"""Equal values have one name, whatever their type or spelling."""

import unicodedata
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand._base.names import in_order, is_fractional, name_of


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ((1, 1.0, "1", "1.0", " 1 ", np.int8(1), np.float32(1), Decimal("1.0")), "1"),
        ((0, -0.0, "-0.0", 0.0, "0."), "0"),
        ((True, np.bool_(True), "True"), "True"),
        (("yes", "yes ", "\u00a0yes", "\ufeffyes", "yes\u200b", b"yes"), "yes"),
        (("São", unicodedata.normalize("NFD", "São")), "São"),
        ((date(2020, 1, 2), datetime(2020, 1, 2), "2020-01-02"), "2020-01-02"),
        ((1.5, "1.5", Decimal("1.5"), np.float64(1.5)), "1.5"),
    ],
)
def test_one_name_for_equal_values(values, name):
    assert {name_of(value) for value in values} == {name}


@given(st.integers(-(10**12), 10**12))
def test_a_whole_number_is_named_alike_in_every_type(number):
    as_types = (number, float(number), str(number), f"{number}.0", Decimal(number))
    assert {name_of(value) for value in as_types} == {str(number)}


@given(st.text(max_size=8))
def test_a_name_is_its_own_name(text):
    name = name_of(text)
    assert name_of(name) == name
    assert name == name.strip()


@given(st.lists(st.one_of(st.integers(-50, 50).map(str), st.text("abé", min_size=1, max_size=3))))
def test_names_are_in_order_whatever_order_they_came_in(names):
    ordered = in_order(names)
    assert ordered == in_order(reversed(names))
    numbers = [float(name) for name in ordered if name.lstrip("-").isdecimal()]
    assert numbers == sorted(numbers)


def test_what_is_fractional():
    assert [is_fractional(name) for name in ("1", "1.5", "1e-3", "x", "")] == [
        False,
        True,
        True,
        False,
        False,
    ]
